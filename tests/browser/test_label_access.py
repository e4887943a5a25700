"""WCAG 2.2 A and AA on the labelling page, as far as axe-core can tell, in both themes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from server.models import Run
from server.store import runs

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_and_its_dialogs_break_no_rule(
    new_page: Any, workplace: Any, violations: Any, scheme: str
) -> None:
    with workplace.database.write() as s:
        run: Run = runs.get_run(s, name="coinrun")
        run.instructions = "# Rules\n\n- **coins** first\n\n[more](https://x.org)"
        rules = {"strengths": True, "skip": "later", "show_prediction": True}
        run.config = run.config | {"labelling": rules}
    workplace.ask(3)
    page = new_page(color_scheme=scheme)
    page.goto("/label/coinrun")
    expect(page.locator("dialog[data-help]")).to_be_visible()
    page.locator(".shortcuts summary").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("[data-side]").first).to_be_enabled()
    assert violations(page) == []
    page.keyboard.press("f")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("h")
    expect(page.locator("[data-entries] button").first).to_be_visible()
    assert violations(page) == []


def test_the_waiting_page_breaks_no_rule(page: Page, workplace: Any, violations: Any) -> None:
    page.goto("/label/coinrun")
    expect(page.locator("[data-waiting]")).to_be_visible()
    page.wait_for_timeout(800)  # it fades in
    assert violations(page) == []

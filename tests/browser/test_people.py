"""The people of a run as a researcher meets them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def label(page: Page, sides: str) -> None:
    """Answer pairs over the API, as the one local person."""
    for number, letter in enumerate(sides):
        desk = page.request.post("/api/v1/runs/coinrun/assignments", data={"count": 1}).json()
        body = {
            "side": {"l": "left", "r": "right", "t": "tie"}[letter],
            "seconds": 2.0,
            "submission_key": f"answer-{number}-{desk['assignments'][0]['id']}",
        }
        address = f"/api/v1/assignments/{desk['assignments'][0]['id']}/answer"
        assert page.request.post(address, data=body).status == 201


def test_somebodys_answers_are_excluded_with_one_click_and_taken_in_again(
    page: Page, workplace: Any
) -> None:
    workplace.ask(4)
    label(page, "llrt")
    page.goto("/")
    page.get_by_role("link", name="People").click()
    row = page.get_by_role("row", name="local")
    expect(row).to_contain_text("4")
    expect(row).to_contain_text("2.0 s")
    expect(row).to_contain_text("67 %")  # left, of the decided
    loaded = page.evaluate("performance.timeOrigin")
    row.get_by_role("button", name="exclude").click()
    expect(row).to_contain_text("excluded")
    row.get_by_role("button", name="include").press("Enter")
    expect(row.get_by_role("button", name="exclude")).to_be_focused()  # it stays where it was
    assert page.evaluate("performance.timeOrigin") == loaded  # no page was loaded for it

    row.get_by_role("link", name="local").click()
    expect(page.get_by_role("heading", name="local")).to_be_visible()
    expect(page.locator("#notebook")).to_contain_text("67 %")
    page.get_by_role("button", name="exclude").click()
    expect(page.locator(".person-head .state")).to_contain_text("excluded")


def test_it_works_without_scripts(new_page: Any, workplace: Any) -> None:
    workplace.ask(1)
    page = new_page(java_script_enabled=False)
    label(page, "l")
    page.goto("/people")
    page.get_by_role("button", name="exclude").click()
    expect(page.get_by_role("row", name="local")).to_contain_text("excluded")

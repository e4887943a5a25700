"""The people of a run and its queries, as a researcher meets them."""

from __future__ import annotations

import time
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


def test_somebody_who_is_paused_is_let_go_on_with_one_click(page: Page, workplace: Any) -> None:
    (known,) = workplace.ask(1)
    desk = page.request.post("/api/v1/runs/coinrun/assignments", data={"count": 1}).json()
    page.request.put(f"/api/v1/runs/coinrun/queries/{known}/gold", data={"answer": "tie"})
    body = {"side": "left", "submission_key": "a-wrong-one"}
    page.request.post(f"/api/v1/assignments/{desk['assignments'][0]['id']}/answer", data=body)
    workplace.ask(2)
    page.goto("/people")
    row = page.get_by_role("row", name="local")
    expect(row).to_contain_text("0 / 1")
    row.get_by_role("button", name="pause local").click()
    expect(row.get_by_role("rowheader")).to_contain_text("paused gold 0 / 1")
    waiting = page.request.post("/api/v1/runs/coinrun/assignments").json()["waiting"]
    assert "paused for you" in waiting
    row.get_by_role("link", name="local").click()
    head = page.locator(".person-head")
    expect(head).to_contain_text("gold 0 / 1")
    page.get_by_role("button", name="let local go on").press("Enter")
    expect(page.get_by_role("button", name="pause local")).to_be_focused()
    expect(head.locator(".state")).to_have_count(0)
    expect(head).not_to_contain_text("gold")  # counted afresh
    assert page.request.post("/api/v1/runs/coinrun/assignments").json()["assignments"]


def test_it_works_without_scripts(new_page: Any, workplace: Any) -> None:
    workplace.ask(1)
    page = new_page(java_script_enabled=False)
    label(page, "l")
    page.goto("/people")
    page.get_by_role("button", name="exclude").click()
    expect(page.get_by_role("row", name="local")).to_contain_text("excluded")
    page.get_by_role("button", name="pause").click()
    expect(page.get_by_role("row", name="local")).to_contain_text("paused")


def test_on_a_phone_every_figure_is_named_and_every_button_in_sight(
    new_page: Any, workplace: Any
) -> None:
    workplace.ask(2)
    page = new_page(viewport={"width": 390, "height": 844})
    label(page, "lt")
    page.goto("/people")
    for name in ("pause", "exclude"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
    figures = page.locator("#roster td:not(:last-child)")
    assert figures.evaluate_all("cells => cells.every((cell) => cell.dataset.column)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_flagged_pair_is_found_seen_and_made_gold(page: Page, workplace: Any) -> None:
    ids = workplace.ask(3)
    label(page, "l")
    desk = page.request.post("/api/v1/runs/coinrun/assignments", data={"count": 1}).json()
    body = {"side": "right", "submission_key": "flagged-1", "comment": "nothing to be seen"}
    page.request.post(f"/api/v1/assignments/{desk['assignments'][0]['id']}/answer", data=body)
    page.goto("/runs/coinrun")
    page.get_by_role("link", name="Queries").click()
    expect(page.get_by_role("row")).to_have_count(1 + len(ids))
    page.get_by_role("link", name="flagged 1").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.locator("tbody a").click()
    expect(page.get_by_role("row", name="nothing to be seen")).to_contain_text("flagged")
    clip = page.get_by_label("clip a")
    page.get_by_role("button", name="Play both").click()
    deadline = time.monotonic() + 10
    while not page.evaluate("[...document.querySelectorAll('video')].every((v) => v.currentTime)"):
        assert time.monotonic() < deadline, "the clips do not play"
        page.wait_for_timeout(50)
    page.get_by_role("button", name="Pause both").click()
    assert clip.evaluate("(video) => video.paused")
    page.get_by_label("Known answer").select_option("b better")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Queries").click()
    page.get_by_role("link", name="gold 1").click()
    expect(page.locator("tbody")).to_contain_text("gold: b")

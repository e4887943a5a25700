"""A person puts clips into order: by keys, by dragging, and takes it back."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

LETTERS = """() => [...document.querySelectorAll("[data-order] > li")]
    .map((item) => item.dataset.letter).join("")"""
PLACES = """() => [...document.querySelectorAll("[data-order] [data-place]")]
    .map((item) => item.textContent).join("")"""


@pytest.fixture
def ranking(page: Page, workplace: Any) -> Page:
    """The page with five clips."""
    workplace.ask(3)
    page.goto("/runs/coinrun")
    page.get_by_role("link", name="Rank", exact=True).click()
    expect(page.get_by_role("button", name="Store this order")).to_be_enabled()
    return page


def stored(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.request.get("/api/v1/runs/coinrun/rankings").json()
    return found


def grip(page: Page, letter: str) -> Any:
    return page.locator(f"[data-letter={letter}] [data-grip]")


def test_an_order_is_made_by_keys_alone(ranking: Page) -> None:
    page, status = ranking, ranking.locator("[data-status]")
    assert page.evaluate(LETTERS) == "ABCDEF"
    grip(page, "C").focus()
    page.keyboard.press("ArrowUp")
    expect(status).to_have_text("Clip C: place 2 of 6.")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # it is first already
    expect(status).to_have_text("Clip C: place 1 of 6.")
    expect(grip(page, "C")).to_be_focused()
    page.keyboard.press("End")
    expect(status).to_have_text("Clip C: place 6 of 6.")
    assert page.evaluate(LETTERS) == "ABDEFC"
    page.keyboard.press("t")
    expect(status).to_have_text("Clip C: place 5 of 5, tied with F.")
    page.keyboard.press("ArrowLeft")  # out of the tie, to a place of its own before it
    expect(status).to_have_text("Clip C: place 5 of 6.")
    grip(page, "B").focus()
    page.keyboard.press("t")
    expect(status).to_have_text("Clip B: place 1 of 5, tied with A.")
    assert (page.evaluate(LETTERS), page.evaluate(PLACES)) == ("ABDECF", "112345")
    grip(page, "E").focus()
    page.keyboard.press("o")
    expect(status).to_have_text("Clip E left out.")
    page.get_by_role("button", name="Store this order").press("Enter")
    expect(status).to_have_text("Stored: 10 preferences.")
    (one,) = stored(page)
    ids = dict(
        page.evaluate("""() => [...document.querySelectorAll('[data-clip]')]
        .map((item) => [item.dataset.letter, Number(item.dataset.clip)])""")
    )
    wanted = [["A", "B"], ["D"], ["C"], ["F"]]
    assert one["places"] == [sorted(ids[letter] for letter in tied) for tied in wanted]


def test_an_order_is_taken_back_and_stored_again(ranking: Page) -> None:
    page, status = ranking, ranking.locator("[data-status]")
    store = page.get_by_role("button", name="Store this order")
    store.click()
    expect(status).to_have_text("Stored: 15 preferences.")
    page.get_by_role("button", name="Undo").click()
    expect(status).to_contain_text("Taken back.")
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    page.get_by_role("button", name="Clip B earlier").click()
    store.click()
    expect(status).to_have_text("Stored: 15 preferences.")
    assert [one["withdrawn"] for one in stored(page)] == [False, True]


def test_an_answer_that_was_lost_on_the_way_is_stored_once(ranking: Page, watch: Any) -> None:
    """The server stored it, the page does not know: the same button again."""
    page, status = ranking, ranking.locator("[data-status]")
    watch.expected = ("Failed to load resource",)

    def lose(route: Any) -> None:
        route.fetch()
        route.abort()

    page.route("**/api/v1/runs/coinrun/rankings", lose, times=1)
    page.get_by_role("button", name="Store this order").click()
    expect(status).to_contain_text("Try again.")
    page.get_by_role("button", name="Store this order").click()
    expect(status).to_have_text("Stored: 15 preferences.")
    assert len(stored(page)) == 1


def middle(page: Page, letter: str, share: float = 0.5) -> tuple[float, float]:
    box = page.locator(f"[data-order] > [data-letter={letter}]").bounding_box()
    assert box is not None
    return box["x"] + share * box["width"], box["y"] + 0.5 * box["height"]


def test_a_clip_is_dragged_to_its_place(ranking: Page) -> None:
    page = ranking
    grip(page, "A").hover()
    page.mouse.down()
    page.mouse.move(*middle(page, "C", 0.9), steps=6)
    page.mouse.up()
    expect(page.locator("[data-status]")).to_have_text("Clip A: place 3 of 6.")
    assert page.evaluate(LETTERS) == "BCADEF"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_passes_axe_and_its_clips_play(
    new_page: Any, workplace: Any, violations: Any, scheme: str
) -> None:
    workplace.ask(2)
    page = new_page(color_scheme=scheme)
    page.goto("/runs/coinrun/rank")
    deadline = time.monotonic() + 10
    while not page.evaluate("[...document.querySelectorAll('video')].every((v) => v.currentTime)"):
        assert time.monotonic() < deadline, "the clips do not play"
        page.wait_for_timeout(50)
    grip(page, "B").focus()
    page.keyboard.press("t")
    grip(page, "D").focus()
    page.keyboard.press("o")
    page.get_by_role("button", name="Pause all").click()
    assert page.evaluate("[...document.querySelectorAll('video')].every((v) => v.paused)")
    assert violations(page) == []

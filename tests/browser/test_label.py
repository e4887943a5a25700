"""Answers on the labelling page: stored as given, taken back, kept through a lost connection."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from server.models import Assignment
from tests.browser.label_page import (
    BOTH_PAIRS_LOADED,
    open_label,
    rows,
    shown,
    side,
    wait_for_other_pair,
    wait_for_rows,
)

pytestmark = pytest.mark.browser

KEYS = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowUp": "tie", "ArrowDown": "incomparable"}


@pytest.mark.parametrize("by", ["key", "button"])
def test_each_answer_is_stored_as_given_and_shows_the_next_pair(
    page: Page, workplace: Any, by: str
) -> None:
    workplace.ask(5)
    open_label(page)
    answered = []
    for key, name in KEYS.items():
        pair = shown(page)["pair"]
        if by == "key":
            page.keyboard.press(key)
        else:
            page.locator(f'[data-side="{name}"]').click()
        answered.append((pair, name))
        wait_for_other_pair(page, pair)
    stored = wait_for_rows(page, workplace, 4)
    assert [(row.assignment_id, side(row)) for row in stored] == answered
    assert all(row.seconds is not None and 0 < row.seconds < 60 for row in stored)
    expect(page.locator("[data-progress]")).to_have_text(
        re.compile(r"4 today · \d+\.\d s each · 496 left")
    )


def test_held_key_is_one_answer(page: Page, workplace: Any) -> None:
    workplace.ask(4)
    open_label(page)
    pair = shown(page)["pair"]
    for _ in range(5):
        page.keyboard.down("ArrowLeft")  # the second and later ones are repeats
    page.keyboard.up("ArrowLeft")
    wait_for_other_pair(page, pair)
    page.wait_for_timeout(300)
    assert len(rows(workplace)) == 1


def test_undo_brings_the_pair_back_with_the_answer_marked(page: Page, workplace: Any) -> None:
    workplace.ask(4)
    open_label(page)
    first = shown(page)["pair"]
    page.keyboard.press("ArrowRight")
    second = wait_for_other_pair(page, first)
    page.keyboard.press("z")
    assert wait_for_other_pair(page, second) == first
    right = page.locator('[data-side="right"]')
    expect(right).to_have_class(re.compile("is-earlier"))
    expect(right).to_have_attribute("aria-description", "your earlier answer")
    expect(page.locator("[data-progress]")).to_contain_text("0 today")
    page.reload()
    expect(right).to_have_class(re.compile("is-earlier"))
    page.keyboard.press("ArrowLeft")
    assert wait_for_other_pair(page, first) == second
    expect(page.locator(".is-earlier")).to_have_count(0)
    stored = wait_for_rows(page, workplace, 3)
    assert [row.answer for row in stored][1] == "withdrawn"
    assert stored[1].replaces_id == stored[0].id
    assert (side(stored[0]), side(stored[2])) == ("right", "left")
    assert stored[0].a_on_left == stored[2].a_on_left


def test_undo_button_reaches_back_through_several_answers(page: Page, workplace: Any) -> None:
    workplace.ask(4)
    open_label(page)
    undo = page.locator('[data-action="undo"]')
    expect(undo).to_be_disabled()
    seen = [shown(page)["pair"]]
    for _ in range(2):
        page.keyboard.press("ArrowUp")
        seen.append(wait_for_other_pair(page, seen[-1]))
    undo.click()
    assert wait_for_other_pair(page, seen[2]) == seen[1]
    undo.click()
    assert wait_for_other_pair(page, seen[1]) == seen[0]
    expect(undo).to_be_disabled()


def test_waiting_page_says_why_and_plays_when_a_pair_is_ready(page: Page, workplace: Any) -> None:
    page.goto("/label/coinrun")
    waiting = page.locator("[data-waiting]")
    expect(waiting).to_have_text(re.compile("The agent is playing"))
    expect(page.locator('[data-side="left"]')).to_be_disabled()
    workplace.ask(1)
    expect(page.locator('[data-side="left"]')).to_be_enabled()
    expect(waiting).to_be_hidden()
    page.wait_for_function("() => document.querySelector('.is-shown video').currentTime > 0")
    page.keyboard.press("ArrowDown")
    expect(waiting).to_be_visible()
    expect(page.locator(".stage.is-resting")).to_have_count(1)  # the last frame, dimmed
    wait_for_rows(page, workplace, 1)


def test_lost_connection_keeps_answers_and_sends_each_once(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("net::ERR_",)
    workplace.ask(5)
    open_label(page)
    page.wait_for_function(BOTH_PAIRS_LOADED)
    page.context.set_offline(True)
    pair = shown(page)["pair"]
    page.keyboard.press("ArrowLeft")
    second = wait_for_other_pair(page, pair)  # it was loaded already
    page.keyboard.press("ArrowRight")
    line = page.locator("[data-line]")
    expect(line).to_have_text("Connection lost. 2 answers are kept here and sent when it is back.")
    assert rows(workplace) == []
    page.context.set_offline(False)
    stored = wait_for_rows(page, workplace, 2)
    assert [(row.assignment_id, side(row)) for row in stored] == [(pair, "left"), (second, "right")]
    expect(line).to_be_hidden()
    wait_for_other_pair(page, second)
    page.wait_for_timeout(300)
    assert len(rows(workplace)) == 2


def test_answer_whose_reply_was_lost_is_sent_again_and_stored_once(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("net::ERR_",)
    workplace.ask(3)
    open_label(page)
    lost: list[str] = []

    def lose_first_reply(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.request.url)
        route.fetch()  # the server stores it
        route.abort()  # the browser never hears of it

    page.route("**/answer", lose_first_reply)
    pair = shown(page)["pair"]
    with page.expect_response(lambda reply: reply.url.endswith("/answer")) as reply:
        page.keyboard.press("ArrowLeft")
    assert reply.value.status == 200  # known already
    wait_for_other_pair(page, pair)
    assert len(rows(workplace)) == 1


def test_answers_kept_by_a_closed_tab_are_sent_on_return(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("net::ERR_",)
    workplace.ask(3)
    open_label(page)
    page.route("**/answer", lambda route: route.abort())
    pair = shown(page)["pair"]
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-line]")).to_contain_text("1 answer is kept here")
    page.close()
    again = page.context.new_page()
    watch.look(again)
    open_label(again)
    stored = wait_for_rows(again, workplace, 1)
    assert (stored[0].assignment_id, side(stored[0])) == (pair, "tie")
    assert shown(again)["pair"] != pair


def test_lease_is_renewed_while_the_page_is_open(page: Page, workplace: Any) -> None:
    object.__setattr__(workplace.settings, "lease_seconds", 6)
    workplace.ask(2)
    open_label(page)
    with workplace.database.read() as s:
        before = {row.id: row.expires_at for row in s.scalars(select(Assignment))}
    with page.expect_response(re.compile("/renew$")) as reply:
        pass
    assert reply.value.ok
    page.wait_for_timeout(500)
    with workplace.database.read() as s:
        after = {row.id: row.expires_at for row in s.scalars(select(Assignment))}
    assert len(after) == 2
    assert all(after[one] > before[one] for one in before)


def test_pair_with_a_lost_clip_gives_way_to_the_next(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("404",)
    queries = workplace.ask(3)
    workplace.artifacts.delete(workplace.clips[0])
    open_label(page)
    expect(page.locator("[data-line]")).to_have_text(
        "A clip of a pair is gone. That pair is set aside."
    )
    with workplace.database.read() as s:
        pair = s.get_one(Assignment, shown(page)["pair"])
        assert pair.query_id in queries[1:]

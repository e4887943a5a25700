"""The labelling page's further tools: strengths, flags, history, practice, skipping, keys."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from server.models import Answer, Purpose, Query, Strength
from server.store import assignments, gold, runs, trajectories
from server.store.people import local_person
from tests.browser.label_page import rows, side, wait_for_rows

pytestmark = pytest.mark.browser


def rule(workplace: Any, **rules: Any) -> None:
    with workplace.database.write() as s:
        run = runs.get_run(s, name="coinrun")
        run.config = run.config | {"labelling": rules}


def mark_gold(workplace: Any, query_ids: list[int]) -> None:
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        for query_id in query_ids:
            gold.set_gold(s, run_id=run_id, query_id=query_id, answer=Answer.A)


def open_label(page: Page) -> int:
    page.goto("/label/coinrun")
    expect(page.locator("[data-side]").first).to_be_enabled()
    return shown(page)


def shown(page: Page) -> int:
    """The pair on show."""
    pair: int = page.evaluate(
        """() => {
            const video = document.querySelector(".stage.is-shown video");
            return Number(video?.src.match(/assignments\\/(\\d+)/)?.[1]);
        }"""
    )
    return pair


def other_pair(page: Page, before: int) -> int:
    page.wait_for_function(
        """(before) => {
            const video = document.querySelector(".stage.is-shown video");
            const pair = Number(video?.src.match(/assignments\\/(\\d+)/)[1]);
            return video && pair !== before && !document.querySelector("[data-side]").disabled;
        }""",
        arg=before,
    )
    return shown(page)


@pytest.mark.parametrize("by", ["key", "button"])
def test_five_answers_are_stored_with_their_strength(page: Page, workplace: Any, by: str) -> None:
    rule(workplace, strengths=True)
    workplace.ask(6)
    pair = open_label(page)
    buttons = page.locator(".answers button")
    for number in range(5):
        if by == "key":
            page.keyboard.press(str(number + 1))
        else:
            buttons.nth(number).click()
        pair = other_pair(page, pair)
    stored = wait_for_rows(page, workplace, 5)
    assert [(side(row), row.strength) for row in stored] == [
        ("left", Strength.MUCH_BETTER),
        ("left", Strength.BETTER),
        ("tie", None),
        ("right", Strength.BETTER),
        ("right", Strength.MUCH_BETTER),
    ]
    page.keyboard.press("z")
    other_pair(page, pair)
    expect(page.locator(".is-earlier")).to_have_text(re.compile("right much better"))


def test_a_flag_goes_with_its_answer_only(page: Page, workplace: Any) -> None:
    workplace.ask(3)
    pair = open_label(page)
    page.keyboard.press("f")
    page.keyboard.type("a <b>glitch</b> at 1 s")
    page.locator('[data-flag] button[value="yes"]').click()
    expect(page.locator('[data-action="flag"]')).to_have_attribute("aria-pressed", "true")
    assert rows(workplace) == []  # the letters typed were no shortcuts
    page.keyboard.press("ArrowLeft")
    pair = other_pair(page, pair)
    expect(page.locator('[data-action="flag"]')).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("ArrowLeft")
    first, second = wait_for_rows(page, workplace, 2)
    assert (first.flagged, first.comment) == (True, "a <b>glitch</b> at 1 s")
    assert (second.flagged, second.comment) == (False, "")


def test_undo_goes_back_through_ten_answers(page: Page, workplace: Any) -> None:
    workplace.ask(14)
    seen = [open_label(page)]
    for _ in range(12):
        page.keyboard.press("ArrowUp")
        seen.append(other_pair(page, seen[-1]))
    wait_for_rows(page, workplace, 12)
    for number in range(10):
        page.keyboard.press("z")
        assert other_pair(page, seen[12 - number]) == seen[11 - number]
    page.keyboard.press("z")
    expect(page.locator("[data-line]")).to_contain_text("Undo reaches back ten answers")
    assert shown(page) == seen[2]
    assert sum(row.answer == "withdrawn" for row in rows(workplace)) == 10


def test_an_answer_in_the_history_is_changed_by_a_new_row(page: Page, workplace: Any) -> None:
    workplace.ask(4)
    first = open_label(page)
    page.keyboard.press("ArrowLeft")
    second = other_pair(page, first)
    page.keyboard.press("ArrowUp")
    third = other_pair(page, second)
    page.keyboard.press("h")
    entries = page.locator("[data-entries] button")
    expect(entries).to_have_text([re.compile("equal"), re.compile("left better")])
    entries.nth(1).click()
    assert other_pair(page, third) == first
    expect(page.locator("[data-line]")).to_contain_text("An earlier answer of yours")
    expect(page.locator('[data-side="left"]')).to_have_class(re.compile("is-earlier"))
    page.keyboard.press("Escape")
    assert other_pair(page, first) == third
    page.locator('[data-action="history"]').click()
    entries.nth(1).click()
    other_pair(page, third)
    page.keyboard.press("ArrowRight")
    assert other_pair(page, first) == third
    stored = wait_for_rows(page, workplace, 3)
    assert (stored[2].replaces_id, side(stored[2])) == (stored[0].id, "right")
    expect(page.locator("[data-progress]")).to_contain_text("2 today")


def test_the_history_reaches_back_to_the_first_answer(page: Page, workplace: Any) -> None:
    workplace.ask(54)
    now = datetime.now(UTC)
    with workplace.database.write() as s:
        run_id = runs.get_run(s, name="coinrun").id
        person = local_person(s, now=now).id
        for number in range(53):
            at = now - timedelta(days=3, seconds=-number)
            (pair,) = assignments.next_assignments(
                s, run_id=run_id, person_id=person, count=1, now=at, seconds=60
            )
            assignments.submit(
                s,
                assignment_id=pair.id,
                person_id=person,
                side="tie" if number == 0 else "left",
                seconds=1.0,
                submission_key=f"answer-{number}",
                now=at,
            )
    open_label(page)
    page.keyboard.press("h")
    entries = page.locator("[data-entries] button")
    expect(entries).to_have_count(50)
    expect(entries.first).to_contain_text((now - timedelta(days=3)).strftime("%b"))
    page.get_by_role("button", name="older").click()
    expect(entries).to_have_count(53)
    expect(entries.last).to_contain_text("equal")
    expect(entries.nth(50)).to_be_focused()
    expect(page.locator('[data-action="older"]')).to_be_hidden()


def test_practice_tells_whether_it_was_right_before_the_first_real_pair(
    page: Page, workplace: Any
) -> None:
    rule(workplace, practice=2, gold_share=0.0)
    mark_gold(workplace, workplace.ask(2))
    workplace.ask(2)
    pair = open_label(page)
    for number in range(2):
        expect(page.locator("[data-line]")).to_contain_text("Practice")
        page.keyboard.press("ArrowLeft")
        verdict = page.locator("[data-verdict]")
        expect(verdict).to_be_visible()
        right = rows(workplace)[number].answer is Answer.A
        expect(verdict).to_have_text("Right" if right else "Not quite")
        page.keyboard.press("Enter")
        pair = other_pair(page, pair)
    expect(page.locator("[data-line]")).to_be_hidden()
    expect(page.locator("[data-progress]")).to_contain_text("0 today")
    page.keyboard.press("ArrowLeft")
    stored = wait_for_rows(page, workplace, 3)
    assert [row.purpose for row in stored] == [
        Purpose.PRACTICE,
        Purpose.PRACTICE,
        Purpose.ORDINARY,
    ]


def test_practice_goes_on_after_a_lost_reply_and_another_answer(
    page: Page, workplace: Any, watch: Any
) -> None:
    watch.expected = ("net::ERR_", "409")
    rule(workplace, practice=1, gold_share=0.0)
    mark_gold(workplace, workplace.ask(1))
    workplace.ask(2)
    lost: list[str] = []

    def lose_first_reply(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.request.url)
        route.fetch()  # the server stores it
        route.abort()  # the browser never hears of it

    page.route("**/answer", lose_first_reply)
    pair = open_label(page)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-line]")).to_have_text("Practice needs the server; answer again.")
    with page.expect_response(lambda reply: reply.url.endswith("/answer")) as reply:
        page.keyboard.press("ArrowRight")
    assert reply.value.status == 409
    pair = other_pair(page, pair)
    page.keyboard.press("ArrowLeft")
    other_pair(page, pair)
    stored = wait_for_rows(page, workplace, 2)
    assert [row.purpose for row in stored] == [Purpose.PRACTICE, Purpose.ORDINARY]
    assert side(stored[0]) == "left"


def test_skipping_shows_another_pair_and_stores_no_answer(page: Page, workplace: Any) -> None:
    rule(workplace, skip="others")
    workplace.ask(3)
    pair = open_label(page)
    page.keyboard.press("s")
    second = other_pair(page, pair)
    page.locator('[data-action="skip"]').click()
    other_pair(page, second)
    assert rows(workplace) == []


def test_a_pair_skipped_while_a_reply_was_on_its_way_does_not_come_back(
    page: Page, workplace: Any
) -> None:
    rule(workplace, skip="others")
    workplace.ask(3)
    pair = open_label(page)
    held: list[Any] = []
    page.route("**/assignments", lambda route: held.append((route, route.fetch())), times=1)
    page.keyboard.press("s")
    second = other_pair(page, pair)
    while not held:
        page.wait_for_timeout(25)
    with page.expect_response("**/skip"):
        page.keyboard.press("s")
    route, reply = held[0]
    assert second in [one["id"] for one in reply.json()["assignments"]]
    route.fulfill(response=reply)
    assert other_pair(page, second) != pair


def test_without_skipping_there_is_neither_button_nor_key(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    pair = open_label(page)
    expect(page.locator('[data-action="skip"]')).to_have_count(0)
    page.keyboard.press("s")
    page.wait_for_timeout(200)
    assert shown(page) == pair


def test_keys_can_be_changed_swapped_and_set_back(page: Page, workplace: Any) -> None:
    workplace.ask(4)
    pair = open_label(page)
    page.keyboard.press("?")
    page.locator(".shortcuts summary").click()
    page.locator('[data-learn="left"]').click()
    page.keyboard.press("a")
    page.locator('[data-learn="undo"]').click()
    page.keyboard.press("r")  # was restart's: they swap
    expect(page.locator('[data-learn="restart"]')).to_have_text("Z")
    page.keyboard.press("Escape")
    expect(page.locator('.answers [data-key="left"]')).to_have_text("A")
    page.reload()
    pair = open_label(page)
    page.keyboard.press("ArrowLeft")  # no longer an answer
    page.keyboard.press("a")
    second = other_pair(page, pair)
    assert side(wait_for_rows(page, workplace, 1)[0]) == "left"
    page.keyboard.press("r")
    assert other_pair(page, second) == pair
    page.keyboard.press("?")
    page.locator(".shortcuts summary").click()
    page.locator('[data-action="reset-keys"]').click()
    expect(page.locator('.answers [data-key="left"]')).to_have_text("←")


def test_the_agents_view_plays_beside_the_clips(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    pair = open_label(page)
    page.keyboard.press("v")
    agent = page.locator(".is-shown video[data-agent]")
    page.wait_for_timeout(300)
    expect(agent).to_have_count(0)  # it is being made
    with workplace.database.write() as s:
        for one in trajectories.agent_clips_wanted(s, run_id=1, limit=9):
            trajectories.set_agent_clip(s, segment_id=one.segment_id, clip=workplace.clips[0])
    expect(agent).to_have_count(2)
    page.wait_for_function(
        """() => [...document.querySelectorAll(".is-shown [data-frame]")].every((frame) => {
            const [clip, agent] = frame.querySelectorAll("video");
            return agent.currentTime > 0.2 && Math.abs(agent.currentTime - clip.currentTime) < 0.2;
        })"""
    )
    expect(agent.first).to_have_attribute("aria-label", "left clip as the agent sees it")
    page.keyboard.press("v")
    expect(agent).to_have_count(0)
    assert shown(page) == pair


def test_the_reward_models_opinion_comes_only_after_the_answer(page: Page, workplace: Any) -> None:
    rule(workplace, show_prediction=True)
    workplace.ask(2)
    with workplace.database.write() as s:
        for query in s.scalars(select(Query)):
            query.selection = {"predicted": 0.8}
    open_label(page)
    opinion = page.locator("[data-opinion]")
    expect(opinion).to_be_empty()
    page.keyboard.press("ArrowLeft")
    (row,) = wait_for_rows(page, workplace, 1)
    expect(opinion).to_have_text(f"reward model: {'left' if row.a_on_left else 'right'}, 80 %")


SWIPE = """([x, y, dy]) => {
    const desk = document.elementFromPoint(x, y);
    const send = (type, clientY) => desk.dispatchEvent(new PointerEvent(type, {
        bubbles: true, isPrimary: true, pointerType: "touch", clientX: x, clientY }));
    send("pointerdown", y);
    send("pointerup", y + dy);
}"""


def test_fingers_tap_the_better_clip_and_swipe_for_the_rest(new_page: Any, workplace: Any) -> None:
    workplace.ask(6)
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    pair = open_label(page)
    for name in ("left", "right"):
        page.locator(f".is-shown .frame-{name}").tap()
        pair = other_pair(page, pair)
    box = page.locator(".is-shown .frame-left").bounding_box()
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    for move in (-120, 120):
        page.evaluate(SWIPE, [*middle, move])
        pair = other_pair(page, pair)
    page.evaluate(SWIPE, [*middle, -30])  # neither tap nor swipe
    stored = wait_for_rows(page, workplace, 4)
    assert [side(row) for row in stored] == ["left", "right", "tie", "incomparable"]


def test_instructions_are_markdown_and_harmless(page: Page, workplace: Any) -> None:
    with workplace.database.write() as s:
        runs.get_run(s, name="coinrun").instructions = (
            "# Rules\n\n- **coins** first\n\n<img src=x onerror=alert(1)>\n\n"
            "[bad](javascript:alert(1)) [good](https://x.org)"
        )
    workplace.ask(1)
    page.goto("/label/coinrun")
    shown_rules = page.locator(".instructions")
    expect(shown_rules.locator("h3")).to_have_text("Rules")
    expect(shown_rules.locator("li strong")).to_have_text("coins")
    expect(shown_rules.locator("img")).to_have_count(0)
    expect(shown_rules).to_contain_text("<img src=x onerror=alert(1)>")
    expect(shown_rules.locator("a")).to_have_count(1)

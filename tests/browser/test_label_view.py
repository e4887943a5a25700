"""What the labelling page shows: clips in step, playback, themes, sizes, keyboard."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from server.models import Assignment
from server.store import labelling, runs
from tests.browser.label_page import (
    BOTH_PAIRS_LOADED,
    open_label,
    rows,
    shown,
    wait_for_other_pair,
)

pytestmark = pytest.mark.browser

KEYS = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowUp": "tie", "ArrowDown": "incomparable"}


def test_answer_flashes_its_button_and_the_chosen_clip_for_a_moment(
    page: Page, workplace: Any
) -> None:
    workplace.ask(3)
    open_label(page)
    page.evaluate(
        """() => {
            window.flashes = [];
            const note = (name) => (records) => {
                for (const { target } of records) {
                    const lit = /flash-left|is-pressed/.test(target.className);
                    window.flashes.push([name, lit, performance.now()]);
                }
            };
            const watch = (name, selector) => {
                for (const element of document.querySelectorAll(selector))
                    new MutationObserver(note(name)).observe(element, {
                        attributeFilter: ["class"],
                    });
            };
            watch("button", '[data-side="left"]');
            watch("clip", '[data-stage] [data-frame="left"]');
            watch("other clip", '[data-stage] [data-frame="right"]');
        }"""
    )
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(400)
    flashes = page.evaluate("window.flashes")
    assert {name for name, _, _ in flashes} == {"button", "clip"}
    for name in ("button", "clip"):
        on = next(at for what, lit, at in flashes if what == name and lit)
        off = next(at for what, lit, at in flashes if what == name and not lit)
        assert 100 < off - on < 400


def test_next_pair_is_loaded_before_the_answer_and_plays_at_once(
    page: Page, workplace: Any, watch: Any
) -> None:
    workplace.ask(4)
    open_label(page)
    page.wait_for_function(BOTH_PAIRS_LOADED)
    pair = shown(page)["pair"]
    watch.requests.clear()
    page.evaluate("performance.clearMarks()")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => performance.getEntriesByName('clipwise:playing').length > 0")
    next_pair = wait_for_other_pair(page, pair)
    assert not any(f"/assignments/{next_pair}/" in url for url in watch.requests)
    gap = page.evaluate(
        """performance.getEntriesByName('clipwise:playing')[0].startTime
           - performance.getEntriesByName('clipwise:answer')[0].startTime"""
    )
    assert 0 <= gap < 1000  # the bar of 150 ms is the benchmark's; this machine may be busy


def test_clips_start_and_run_in_step(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    open_label(page)
    apart = page.evaluate(
        """async () => {
            const videos = [...document.querySelectorAll(".stage.is-shown video")];
            let most = 0;
            const end = performance.now() + 2500;
            while (performance.now() < end) {
                await new Promise(requestAnimationFrame);
                if (videos.some((video) => video.seeking || video.ended)) continue;
                most = Math.max(most, Math.abs(videos[0].currentTime - videos[1].currentTime));
            }
            return most;
        }"""
    )
    assert apart < 0.2


def test_shorter_clip_holds_its_last_frame_until_both_start_again(
    page: Page, workplace: Any
) -> None:
    workplace.frames = (12, 30)
    workplace.ask(2)
    open_label(page)
    seen = page.evaluate(
        """async () => {
            const videos = [...document.querySelectorAll(".stage.is-shown video")];
            const seen = { held: 0, restarts: 0, alone: 0 };
            let before = [0, 0];
            const end = performance.now() + 5500;
            while (performance.now() < end) {
                await new Promise(requestAnimationFrame);
                const now = videos.map((video) => video.currentTime);
                if (videos.filter((video) => video.ended).length === 1) seen.held += 1;
                const back = now.map((time, i) => time < before[i] - 0.3);
                if (back[0] && back[1]) seen.restarts += 1;
                else if (back[0] || back[1]) seen.alone += 1;
                before = now;
            }
            return seen;
        }"""
    )
    assert seen["held"] > 5
    assert seen["restarts"] >= 1
    assert seen["alone"] == 0


def test_space_pauses_and_r_restarts_both_clips(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    open_label(page)
    page.wait_for_function("() => document.querySelector('.is-shown video').currentTime > 0.2")
    page.keyboard.press("Space")
    assert shown(page)["paused"] == [True, True]
    expect(page.locator("[data-pause-word]")).to_have_text("play")
    held = shown(page)["times"]
    page.wait_for_timeout(200)
    assert shown(page)["times"] == held
    page.keyboard.press("r")
    page.wait_for_function("() => document.querySelector('.is-shown video').currentTime < 0.2")
    assert shown(page)["paused"] == [False, False]
    page.locator('.tools [data-action="pause"]').click()
    assert shown(page)["paused"] == [True, True]
    page.keyboard.press("Space")  # not a second click on the button
    assert shown(page)["paused"] == [False, False]


def test_frame_keys_step_both_clips_by_one_frame(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    open_label(page)
    page.keyboard.press("Space")
    page.locator("[data-scrub]").evaluate(
        "(bar) => { bar.value = 0.5; bar.dispatchEvent(new Event('input')); }"
    )
    before = shown(page)["times"]
    assert before[0] == pytest.approx(0.5, abs=0.05)
    frames = [round(time * 15 - 0.5) for time in before]
    page.keyboard.press(".")
    page.keyboard.press(".")
    page.keyboard.press(",")
    page.keyboard.press(".")
    after = shown(page)["times"]
    assert [round(time * 15 - 0.5) for time in after] == [frame + 2 for frame in frames]
    assert after[0] == pytest.approx(after[1], abs=1e-6)
    page.locator('[data-action="back"]').click()
    page.locator('[data-action="back"]').click()
    assert [round(time * 15 - 0.5) for time in shown(page)["times"]] == frames


def test_scrub_bar_moves_both_clips(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    open_label(page)
    bar = page.locator("[data-scrub]")
    box = bar.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    state = shown(page)
    assert state["paused"] == [True, True]
    assert state["times"][0] == pytest.approx(state["durations"][0] / 2, abs=0.15)
    assert state["times"][0] == pytest.approx(state["times"][1], abs=1e-6)
    pair = state["pair"]
    page.keyboard.press("ArrowLeft")  # after the mouse the arrows answer again
    wait_for_other_pair(page, pair)


def test_speed_stays_for_the_next_pair_and_the_next_visit(page: Page, workplace: Any) -> None:
    workplace.ask(4)
    open_label(page)
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert shown(page)["rates"] == [0.5, 0.5]
    expect(page.locator("[data-rate]")).to_have_text("0.5×")
    pair = shown(page)["pair"]
    page.keyboard.press("ArrowUp")
    wait_for_other_pair(page, pair)
    assert shown(page)["rates"] == [0.5, 0.5]
    page.reload()
    expect(page.locator('[data-side="left"]')).to_be_enabled()
    assert shown(page)["rates"] == [0.5, 0.5]
    page.locator('[data-action="faster"]').click()
    assert shown(page)["rates"] == [0.75, 0.75]


def test_reduced_motion_waits_for_the_person_to_play(new_page: Any, workplace: Any) -> None:
    workplace.ask(3)
    page = new_page(reduced_motion="reduce")
    open_label(page)
    page.wait_for_timeout(400)
    state = shown(page)
    assert (state["paused"], state["times"]) == ([True, True], [0, 0])
    expect(page.locator("[data-pause-word]")).to_have_text("play")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('.is-shown video').currentTime > 0.1")
    page.keyboard.press("ArrowLeft")
    wait_for_other_pair(page, state["pair"])
    assert shown(page)["paused"] == [True, True]


def luminance(page: Page) -> float:
    text = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in re.findall(r"\d+", text)[:3])
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def test_theme_follows_the_system_and_can_be_set(new_page: Any, workplace: Any) -> None:
    workplace.ask(2)
    light, dark = new_page(color_scheme="light"), new_page(color_scheme="dark")
    open_label(light)
    open_label(dark)
    assert luminance(light) > 0.9
    assert luminance(dark) < 0.2
    light.keyboard.press("?")
    light.locator(".help [data-theme-choice]").select_option("dark")
    assert luminance(light) < 0.2
    light.reload()
    assert luminance(light) < 0.2


def test_phone_shows_the_clips_above_each_other_and_everything_fits(
    new_page: Any, workplace: Any
) -> None:
    workplace.ask(2)
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    open_label(page)
    left = page.locator(".is-shown .frame-left").bounding_box()
    right = page.locator(".is-shown .frame-right").bounding_box()
    assert left["y"] + left["height"] <= right["y"]
    assert left["width"] == right["width"] > 200
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.inner_text()
        assert box["y"] + box["height"] <= 844
    pair = shown(page)["pair"]
    page.locator('[data-side="right"]').tap()
    wait_for_other_pair(page, pair)


def test_wide_window_shows_equal_clips_side_by_side(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    open_label(page)
    left = page.locator(".is-shown .frame-left").bounding_box()
    right = page.locator(".is-shown .frame-right").bounding_box()
    assert left is not None
    assert right is not None
    assert (left["y"], left["width"]) == (right["y"], right["width"])
    assert left["x"] + left["width"] <= right["x"]
    assert left["width"] > 500
    assert page.evaluate("document.documentElement.scrollHeight") <= 800


def test_instructions_open_first_and_hold_the_answer_keys(page: Page, workplace: Any) -> None:
    with workplace.database.write() as s:
        runs.get_run(s, name="coinrun").instructions = "Coins first.\n<b>Not bold.</b>"
    workplace.ask(3)
    page.goto("/label/coinrun")
    dialog = page.locator("dialog[data-help]")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("<b>Not bold.</b>")
    expect(page.locator('[data-side="left"]')).to_be_enabled()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    assert rows(workplace) == []
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.reload()
    expect(page.locator('[data-side="left"]')).to_be_enabled()
    expect(dialog).to_be_hidden()  # seen once
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    page.locator('[data-action="close-help"]').click()
    expect(dialog).to_be_hidden()


def test_single_key_shortcuts_can_be_switched_off(page: Page, workplace: Any) -> None:
    workplace.ask(3)
    open_label(page)
    page.locator('[data-action="help"]').click()
    page.locator("[data-single-keys]").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("-")
    assert shown(page)["rates"] == [1, 1]
    pair = shown(page)["pair"]
    page.keyboard.press("ArrowLeft")  # arrows are no character keys
    wait_for_other_pair(page, pair)


def test_everything_can_be_reached_and_named_by_keyboard(page: Page, workplace: Any) -> None:
    workplace.ask(2)
    open_label(page)
    reached = set()
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => {
                    const element = document.activeElement;
                    const style = getComputedStyle(element);
                    const seen = style.outlineStyle !== "none" || style.boxShadow !== "none";
                    const data = element.dataset;
                    return [data.side ?? data.action ?? element.getAttribute("aria-label"), seen];
                }"""
            ).__repr__()
        )
    for name in (*KEYS.values(), "pause", "restart", "back", "forward", "help"):
        assert f"['{name}', True]" in reached, (name, reached)
    for name in ("left clip", "right clip"):
        assert page.locator(f'.is-shown video[aria-label="{name}"]').count() == 1


def test_nothing_of_the_clips_origin_reaches_the_browser(
    page: Page, workplace: Any, watch: Any
) -> None:
    workplace.ask(2)
    open_label(page)
    with workplace.database.read() as s:
        pair = s.get_one(Assignment, shown(page)["pair"])
        segments = [
            labelling.shown_clip(s, assignment_id=pair.id, person_id=pair.person_id, side=one)
            for one in ("left", "right")
        ]
    everything = page.content() + " ".join(watch.requests)
    for segment in segments:
        assert segment.artifact is not None
        assert segment.artifact[:16] not in everything
    assert not re.search(r"segment|trajectory|checkpoint|true_return|predict", everything, re.I)

"""The labelling page, as the tests drive it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect
from sqlalchemy import select

from server.models import Preference

BOTH_PAIRS_LOADED = """() =>
    [...document.querySelectorAll(".stage video")].every((video) => video.readyState >= 3)"""


def open_label(page: Page) -> None:
    page.goto("/label/coinrun")
    expect(page.locator('[data-side="left"]')).to_be_enabled()


def shown(page: Page) -> dict[str, Any]:
    """The two videos on show."""
    state: dict[str, Any] = page.evaluate(
        """() => {
            const videos = [...document.querySelectorAll(".stage.is-shown video")];
            return {
                pair: Number(videos[0]?.src.match(/assignments\\/(\\d+)/)?.[1]),
                times: videos.map((video) => video.currentTime),
                durations: videos.map((video) => video.duration),
                paused: videos.map((video) => video.paused),
                rates: videos.map((video) => video.playbackRate),
                ended: videos.map((video) => video.ended),
            };
        }"""
    )
    return state


def wait_for_other_pair(page: Page, before: int) -> int:
    page.wait_for_function(
        """(before) => {
            const video = document.querySelector(".stage.is-shown video");
            const enabled = !document.querySelector('[data-side="left"]').disabled;
            const pair = Number(video?.src.match(/assignments\\/(\\d+)/)[1]);
            return enabled && video && pair !== before;
        }""",
        arg=before,
    )
    pair: int = shown(page)["pair"]
    return pair


def rows(workplace: Any) -> list[Preference]:
    with workplace.database.read() as s:
        return list(s.scalars(select(Preference).order_by(Preference.id)))


def wait_for_rows(page: Page, workplace: Any, count: int) -> list[Preference]:
    for _ in range(200):
        if len(stored := rows(workplace)) >= count:
            return stored
        page.wait_for_timeout(25)
    raise AssertionError(f"{len(rows(workplace))} answers stored, not {count}")


def side(preference: Preference) -> str:
    """Which side an answer pointed at, from the stored a/b and the side that a was on."""
    if preference.answer in ("a", "b"):
        return "left" if (preference.answer == "a") == preference.a_on_left else "right"
    return preference.answer.value

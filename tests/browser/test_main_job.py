"""The main job, end to end: a person labels CoinRun in a browser while the learner trains.

Everything is real: `clipwise up` with its server, worker and renderer, Procgen, Chromium.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect
from sqlalchemy import select

from server.database import Database
from server.models import Answer, Assignment, Preference, Query, RewardModel, Segment

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
WIDE = {"viewport": {"width": 1400, "height": 900}, "color_scheme": "light"}
KEYS = ("ArrowLeft", "ArrowRight", "ArrowUp")
SIDES = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowUp": "tie", "ArrowDown": "incomparable"}
PAIRS = 20

SMALL: dict[str, Any] = {
    "threads": 1,
    "precision": "float32",
    "environment": {"num_envs": 16},
    "agent": {"n_steps": 64, "batch_size": 512, "n_epochs": 1},
    "segments": {"endings": 0.0},  # in so short a rollout hardly an episode ends
    "reward": {"initial_epochs": 2, "epochs": 1, "max_batches": 4},
    "queries": {"initial": 24, "min_preferences": PAIRS},
    "evaluation": {"interim_episodes": 1, "every": 1000, "video_seconds": 2},
}
PICTURED: dict[str, Any] = {
    "environment": {"num_envs": 32},
    "agent": {"batch_size": 1024},
    "queries": {"min_preferences": 10},
    "evaluation": {"interim_episodes": 8, "every": 4, "video_seconds": 5},
}


@pytest.fixture
def changes() -> dict[str, Any]:
    """What the run's config changes of experiments/coinrun.yaml."""
    return SMALL


@pytest.fixture
def site(command: Any, changes: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """`clipwise up` on CoinRun; gives its address."""
    config = yaml.safe_load((ROOT / "experiments" / "coinrun.yaml").read_text())
    for key, change in changes.items():
        known = config.get(key, {})
        config[key] = {**known, **change} if isinstance(change, dict) else change
    path = tmp_path / "coinrun.yaml"
    path.write_text(yaml.safe_dump(config))
    up = command.start("up", "--config", str(path))
    command.wait_until_served()
    yield command.url
    up.send_signal(signal.SIGINT)
    up.wait(20)
    out, err = command.printed(up)
    assert up.returncode == 0, err
    assert not re.search(r"\[(warning|error|critical) |Traceback|\x1b", err), out


def pair_on_show(page: Page, *, after: int = 0) -> int:
    """Wait until a pair other than `after` can be judged; its assignment."""
    handle = page.wait_for_function(
        """(after) => {
            const video = document.querySelector(".stage.is-shown video");
            const pair = Number(video?.src.match(/assignments\\/(\\d+)/)?.[1] ?? 0);
            const enabled = !document.querySelector('[data-side="left"]').disabled;
            return enabled && pair !== after && !video.paused && pair;
        }""",
        arg=after,
        timeout=90_000,
    )
    pair: int = handle.json_value()
    return pair


def open_label(page: Page) -> int:
    """Open the labelling page, put its instructions away; the first pair."""
    page.goto("/label/coinrun")
    expect(page.locator("[data-help]")).to_be_visible()
    expect(page.locator("[data-help]")).to_contain_text("taking the coin")
    page.keyboard.press("Escape")
    return pair_on_show(page)


def side(preference: Preference) -> str:
    """Which side an answer pointed at."""
    if preference.answer in (Answer.A, Answer.B):
        return "left" if (preference.answer is Answer.A) == preference.a_on_left else "right"
    return preference.answer.value


def rows(command: Any, model: Any) -> list[Any]:
    database = Database(command.settings.database_url)
    with database.read() as s:
        found = list(s.scalars(select(model).order_by(model.id)))
    database.close()
    return found


def test_twenty_pairs_and_an_undo_make_a_reward_model(new_page: Any, command: Any) -> None:
    run_page: Page = new_page()
    run_page.goto("/runs/coinrun")
    expect(run_page.locator("[data-live-state]")).to_have_text("live")
    expect(run_page.get_by_text("None yet. The first is fitted")).to_be_visible()
    run_page.evaluate("window.stillHere = true")

    page: Page = new_page(**WIDE)
    pair = open_label(page)
    given = []  # (pair, side) in the order of the keys
    for number in range(PAIRS):
        if number == PAIRS // 2:
            # A slip: can't tell. Taken back; the same pair comes again.
            page.keyboard.press("ArrowDown")
            given.append((pair, "incomparable"))
            following = pair_on_show(page, after=pair)
            page.keyboard.press("z")
            assert pair_on_show(page, after=following) == pair
            expect(page.locator("[data-progress]")).to_contain_text(f"{number} today")
        key = KEYS[number % len(KEYS)]
        page.keyboard.press(key)
        given.append((pair, SIDES[key]))
        if number < PAIRS - 1:
            pair = pair_on_show(page, after=pair)
    expect(page.locator("[data-progress]")).to_have_text(
        re.compile(rf"{PAIRS} today · \d+\.\d s each · {1000 - PAIRS} left")
    )

    # The twenty that count, the one taken back, and the row that takes it back: no more, no less.
    stored = command.wait_for(
        lambda: len(found := rows(command, Preference)) >= PAIRS + 2 and found, seconds=10
    )
    assert len(stored) == PAIRS + 2
    undo = next(row for row in stored if row.answer is Answer.WITHDRAWN)
    answers = [row for row in stored if row is not undo]
    assert [(row.assignment_id, side(row)) for row in answers] == given
    assert undo.replaces_id == answers[PAIRS // 2].id
    assert len({row.query_id for row in answers}) == PAIRS
    assert len({row.submission_key for row in stored}) == PAIRS + 2

    newest = run_page.locator("#version-1")
    expect(newest.locator("td").first).to_have_text(str(PAIRS), timeout=90_000)
    assert run_page.evaluate("window.stillHere") is True
    version = rows(command, RewardModel)[0]
    assert (version.version, version.preferences) == (1, PAIRS)
    assert version.last_preference_id == stored[-1].id


@pytest.mark.skipif("CLIPWISE_SCREENSHOTS" not in os.environ, reason="takes minutes")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("changes", [PICTURED], ids=["pictured"])
def test_the_pictures_of_the_readme(new_page: Any, command: Any, changes: dict[str, Any]) -> None:
    """CLIPWISE_SCREENSHOTS=10 labels for ten minutes as a careful person would, then takes them."""
    run_page: Page = new_page(**WIDE)
    run_page.goto("/runs/coinrun")
    page: Page = new_page(**WIDE)
    pair = open_label(page)
    end = time.monotonic() + 60 * float(os.environ["CLIPWISE_SCREENSHOTS"])
    while time.monotonic() < end:
        page.wait_for_timeout(1500)
        page.keyboard.press(better(command, pair))
        pair = pair_on_show(page, after=pair)
    page.wait_for_timeout(1200)
    page.screenshot(path=IMAGES / "labelling.png")
    run_page.bring_to_front()
    run_page.wait_for_timeout(1000)
    run_page.screenshot(path=IMAGES / "run.png")


def better(command: Any, assignment: int) -> str:
    """The key for the clip that is truly better, as a careful labeller would see it."""
    database = Database(command.settings.database_url)
    with database.read() as s:
        given = s.get_one(Assignment, assignment)
        query = s.get_one(Query, given.query_id)
        a, b = (
            s.get_one(Segment, key).true_return for key in (query.segment_a_id, query.segment_b_id)
        )
    database.close()
    if a == b:
        return "ArrowUp"
    return "ArrowLeft" if (a > b) == given.a_on_left else "ArrowRight"

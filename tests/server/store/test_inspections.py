"""Inspections: asked once, taken by one, given up after three deaths."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.database import Database
from server.errors import TooMany
from server.inspections import Aspect
from server.store import inspections, runs
from server.store.inspections import ATTEMPTS, DIED, SILENT_AFTER, Wanted

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECIPE = "a" * 64


@pytest.fixture
def run_id(database: Database) -> int:
    with database.write() as s:
        return runs.create_run(
            s,
            name="run",
            environment="CartPole-v1",
            config={},
            seed=0,
            total_steps=1,
            label_budget=1,
            now=NOW,
        ).id


def ask(database: Database, wanted: Wanted) -> int:
    with database.write() as s:
        return inspections.ask(s, wanted, now=NOW).id


def take(database: Database, *, later: timedelta = timedelta(0), quick: bool = False) -> int | None:
    with database.write() as s:
        taken = inspections.take(s, now=NOW + later, quick=quick)
        return None if taken is None else taken.id


def test_what_is_asked_twice_is_one_question(database: Database, run_id: int) -> None:
    first = ask(database, Wanted(run_id, Aspect.REWARDS, RECIPE, 1))
    assert ask(database, Wanted(run_id, Aspect.REWARDS, RECIPE, 1)) == first
    assert ask(database, Wanted(run_id, Aspect.REWARDS, RECIPE, 2)) != first


def test_one_worker_takes_it_and_frames_come_before_whole_runs(
    database: Database, run_id: int
) -> None:
    segments = ask(database, Wanted(run_id, Aspect.SEGMENTS, version=1))
    steps = ask(database, Wanted(run_id, Aspect.STEPS, RECIPE))
    frame = ask(database, Wanted(run_id, Aspect.SALIENCY, RECIPE, 1, "gradient", 3))
    assert take(database) == frame
    assert take(database, quick=True) == steps
    assert take(database, quick=True) is None
    assert take(database) == segments
    assert take(database) is None
    with database.read() as s:
        assert not inspections.is_waiting(s, now=NOW)


def test_a_worker_that_died_is_replaced_and_the_third_death_ends_it(
    database: Database, run_id: int
) -> None:
    asked = ask(database, Wanted(run_id, Aspect.STEPS, RECIPE))
    for attempt in range(ATTEMPTS):
        assert take(database, later=attempt * (SILENT_AFTER + timedelta(seconds=1))) == asked
    late = ATTEMPTS * (SILENT_AFTER + timedelta(seconds=1))
    assert take(database, later=late) is None
    with database.write() as s:
        assert inspections.get(s, inspection_id=asked).reason == DIED
        inspections.ask_again(s, inspection_id=asked)
    assert take(database) == asked


def test_a_clock_that_was_set_back_holds_nothing(database: Database, run_id: int) -> None:
    asked = ask(database, Wanted(run_id, Aspect.STEPS, RECIPE))
    assert take(database, later=timedelta(days=1)) == asked
    assert take(database) == asked
    assert take(database) is None


def test_whoever_says_that_it_goes_on_keeps_it(database: Database, run_id: int) -> None:
    asked = ask(database, Wanted(run_id, Aspect.SEGMENTS, version=1))
    assert take(database) == asked
    with database.write() as s:
        inspections.go_on(s, inspection_id=asked, now=NOW + SILENT_AFTER)
    assert take(database, later=SILENT_AFTER + timedelta(seconds=1)) is None


def test_what_is_found_stays_and_no_more_is_taken_than_can_be_worked_off(
    database: Database, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspections, "MOST_WAITING", 2)
    asked = ask(database, Wanted(run_id, Aspect.STEPS, RECIPE))
    ask(database, Wanted(run_id, Aspect.FILM, RECIPE))
    with pytest.raises(TooMany):
        ask(database, Wanted(run_id, Aspect.AGENT_VIEW, RECIPE))
    with database.write() as s:
        inspections.finish(s, inspection_id=asked, result="b" * 64, now=NOW)
    ask(database, Wanted(run_id, Aspect.AGENT_VIEW, RECIPE))
    assert ask(database, Wanted(run_id, Aspect.STEPS, RECIPE)) == asked
    with database.read() as s:
        assert inspections.get(s, inspection_id=asked).result == "b" * 64

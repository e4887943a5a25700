from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.errors import NotFound
from server.models import Run, RunState
from server.store import alarms, runs
from server.store.alarms import Found

if TYPE_CHECKING:
    from conftest import Scene

CLOCK = Found("clock", "The reward follows the clock.", "chart-clock")
TIES = Found("ties", "Too many ties.", "chart-ties")


def look(scene: Scene, iteration: int, *found: Found) -> list[str]:
    with scene.write() as s:
        raised = alarms.update(
            s,
            run_id=scene.run_id,
            found=found,
            iteration=iteration,
            step=1000 * iteration,
            now=scene.now,
        )
        return [alarm.kind for alarm in raised]


def standing(scene: Scene) -> list[tuple[str, str, int]]:
    with scene.database.read() as s:
        rows = alarms.open_alarms(s, run_id=scene.run_id)
        return [(row.kind, row.text, row.iteration) for row in rows]


def test_an_alarm_that_goes_on_is_one_alarm_with_its_newest_words(scene: Scene) -> None:
    assert look(scene, 1, CLOCK) == ["clock"]
    assert look(scene, 2, Found("clock", "Still.", "chart-clock"), TIES) == ["ties"]
    assert standing(scene) == [("ties", TIES.text, 2), ("clock", "Still.", 1)]


def test_it_ends_when_it_has_not_held_for_a_while(scene: Scene) -> None:
    look(scene, 1, CLOCK)
    look(scene, 2)
    look(scene, 3, CLOCK)
    look(scene, 4)
    look(scene, 5)
    assert len(standing(scene)) == 1
    look(scene, 6)
    assert standing(scene) == []
    assert look(scene, 7, CLOCK) == ["clock"]
    with scene.database.read() as s:
        assert len(alarms.all_alarms(s, run_id=scene.run_id, limit=9)) == 2


def test_who_has_seen_it_is_kept_and_it_rings_no_more(scene: Scene) -> None:
    look(scene, 1, CLOCK)
    ada, ben = scene.person("Ada"), scene.person("Ben")
    for person in (ada, ben):
        with scene.write() as s:
            run = s.get_one(Run, scene.run_id)
            row = alarms.acknowledge(s, run=run, alarm_id=1, person_id=person, now=scene.now)
            assert row.acknowledged_by_id == ada
    with scene.database.read() as s:
        assert alarms.unacknowledged(s) == {}
    assert look(scene, 2, CLOCK) == []  # it holds on, and is the one that was seen
    assert len(standing(scene)) == 1


def test_alarms_of_other_runs_are_not_found(scene: Scene) -> None:
    look(scene, 1, CLOCK)
    with scene.write() as s:
        other = scene.add_run(s, "other")
        with pytest.raises(NotFound):
            alarms.acknowledge(s, run=other, alarm_id=1, person_id=None, now=scene.now)
        assert list(alarms.unacknowledged(s)) == [scene.run_id]


@pytest.mark.parametrize("end", [RunState.FINISHED, RunState.FAILED, RunState.STOPPED])
def test_nothing_rings_once_the_run_has_ended(scene: Scene, end: RunState) -> None:
    look(scene, 1, CLOCK)
    with scene.write() as s:
        runs.set_state(s, run_id=scene.run_id, state=end)
    assert standing(scene) == []
    with scene.write() as s:
        assert alarms.unacknowledged(s) == {}
        assert len(alarms.all_alarms(s, run_id=scene.run_id, limit=9)) == 1  # its history
        assert len(alarms.uncleared(s, run_id=scene.run_id)) == 1
        runs.set_state(s, run_id=scene.run_id, state=RunState.RUNNING)
    assert look(scene, 2, CLOCK) == []  # resumed: the same alarm goes on
    assert len(standing(scene)) == 1

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from server.errors import Conflict, NotFound
from server.models import Command, CommandKind, Run, RunState
from server.store import runs

if TYPE_CHECKING:
    from conftest import Scene

PAUSE, RESUME, STOP = CommandKind.PAUSE, CommandKind.RESUME, CommandKind.STOP


def lease(scene: Scene, worker: str = "w", run_id: int | None = None) -> str | None:
    with scene.write() as s:
        run = runs.lease_run(s, worker=worker, now=scene.now, seconds=30, run_id=run_id)
        return run and run.name


def send(scene: Scene, kind: CommandKind) -> None:
    with scene.write() as s:
        runs.send_command(s, run_id=scene.run_id, kind=kind, person_id=None, now=scene.now)


def take(scene: Scene) -> list[CommandKind]:
    with scene.write() as s:
        return runs.take_commands(s, run_id=scene.run_id, now=scene.now)


def release(scene: Scene, worker: str = "w") -> bool:
    with scene.write() as s:
        return runs.release_run(s, run_id=scene.run_id, worker=worker, now=scene.now)


def put(scene: Scene, state: RunState) -> None:
    with scene.write() as s:
        runs.set_state(s, run_id=scene.run_id, state=state, reason="why")


def state(scene: Scene) -> RunState:
    with scene.database.read() as s:
        return s.get_one(Run, scene.run_id).state


def test_a_name_is_taken_once(scene: Scene) -> None:
    with scene.write() as s:
        with pytest.raises(Conflict, match="choose another name"):
            scene.add_run(s, "maze")
        assert runs.unused_name(s, base="maze") == "maze-2"
        scene.add_run(s, "maze-2")
        scene.add_run(s, "maze_2")
        assert runs.unused_name(s, base="maze") == "maze-3"
        assert runs.unused_name(s, base="ma") == "ma"
        assert runs.get_run(s, name="maze-2").name == "maze-2"
        with pytest.raises(NotFound, match="no run named"):
            runs.get_run(s, name="nope")


def test_many_workers_never_lease_one_run_twice(
    scene: Scene, at_once: Callable[..., list[Any]]
) -> None:
    with scene.write() as s:
        for i in range(4):
            scene.add_run(s, f"run-{i}")
    leased = at_once(lambda i: lease(scene, f"w{i}"), list(range(10)))
    got = [name for name in leased if name]
    assert len(set(got)) == len(got)
    while name := lease(scene):  # PostgreSQL passes over what another is just taking
        got.append(name)
    assert sorted(got) == ["maze", "run-0", "run-1", "run-2", "run-3"]


def test_a_lease_lasts_while_its_worker_is_heard(scene: Scene) -> None:
    assert lease(scene, "first") == "maze"
    assert state(scene) is RunState.RUNNING
    for _ in range(3):
        scene.later(20)
        with scene.write() as s:
            beat = {"run_id": scene.run_id, "worker": "first", "now": scene.now, "seconds": 30}
            assert runs.heartbeat(s, **beat, activity="fitting")
    assert lease(scene, "second") is None
    scene.later(31)
    assert lease(scene, "second") == "maze"
    with scene.write() as s:
        assert not runs.heartbeat(s, **{**beat, "now": scene.now})
    assert not release(scene, "first")


@pytest.mark.parametrize("resting", [RunState.PAUSED, RunState.STOPPED, RunState.FAILED])
def test_resting_runs_go_on_only_when_named(scene: Scene, resting: RunState) -> None:
    put(scene, resting)
    assert lease(scene, "a") is None
    assert state(scene) is resting
    assert lease(scene, "a", scene.run_id) == "maze"
    assert state(scene) is RunState.RUNNING


def test_finished_runs_are_never_leased(scene: Scene) -> None:
    put(scene, RunState.FINISHED)
    assert lease(scene, "a") is None
    assert lease(scene, "a", scene.run_id) is None


def test_one_run_can_be_asked_for(scene: Scene) -> None:
    with scene.write() as s:
        other = scene.add_run(s, "other").id
    assert lease(scene, "w", other) == "other"
    assert lease(scene, "v", other) is None


def test_a_released_run_waits_for_the_next_worker(scene: Scene) -> None:
    lease(scene)
    assert release(scene)
    assert state(scene) is RunState.WAITING
    assert lease(scene, "next") == "maze"


def test_commands_are_handed_over_once_and_in_order(
    scene: Scene, at_once: Callable[..., list[Any]]
) -> None:
    lease(scene)
    for kind in (PAUSE, RESUME, STOP):
        send(scene, kind)
    assert state(scene) is RunState.RUNNING
    taken = at_once(lambda _: take(scene), list(range(4)))
    assert sorted(taken, key=len) == [[], [], [], [PAUSE, RESUME, STOP]]


@pytest.mark.parametrize(
    ("before", "kind", "after"),
    [
        (RunState.WAITING, PAUSE, RunState.PAUSED),
        (RunState.RUNNING, PAUSE, RunState.PAUSED),
        (RunState.RUNNING, STOP, RunState.STOPPED),
        (RunState.PAUSED, STOP, RunState.STOPPED),
        (RunState.PAUSED, RESUME, RunState.WAITING),
        (RunState.STOPPED, RESUME, RunState.WAITING),
        (RunState.FAILED, RESUME, RunState.WAITING),
    ],
)
def test_without_a_worker_a_command_takes_effect_at_once(
    scene: Scene, before: RunState, kind: CommandKind, after: RunState
) -> None:
    put(scene, before)
    send(scene, kind)
    assert state(scene) is after
    assert take(scene) == []


@pytest.mark.parametrize(
    ("before", "kind"),
    [(RunState.FINISHED, RESUME), (RunState.STOPPED, PAUSE), (RunState.FAILED, STOP)],
)
def test_what_cannot_be_done_is_refused(scene: Scene, before: RunState, kind: CommandKind) -> None:
    put(scene, before)
    with pytest.raises(Conflict, match=f"the run is {before.value}; it cannot {kind.value}"):
        send(scene, kind)
    assert state(scene) is before


def test_a_command_that_its_worker_did_not_live_to_see_is_not_lost(scene: Scene) -> None:
    lease(scene)
    send(scene, STOP)
    release(scene)
    assert state(scene) is RunState.STOPPED


def test_an_old_stop_does_not_stop_a_resumed_run(scene: Scene) -> None:
    lease(scene)
    send(scene, STOP)
    scene.later(31)  # the worker died
    send(scene, RESUME)
    assert lease(scene, "next") == "maze"
    assert take(scene) == []
    with scene.database.read() as s:
        assert s.scalars(select(Command.kind).order_by(Command.id)).all() == [STOP, RESUME]


def test_the_table_shows_answers(scene: Scene) -> None:
    scene.ask(2)
    person = scene.person("ada")
    for pair in scene.next(person, count=2):
        scene.submit(pair)
    scene.undo(person, "u")
    with scene.write() as s:
        scene.add_run(s, "newer")
    with scene.database.read() as s:
        table = [(row.run.name, row.answers) for row in runs.list_runs(s)]
    assert table == [("newer", 0), ("maze", 1)]


def test_a_run_of_the_same_config_is_found_until_it_ends(scene: Scene) -> None:
    with scene.database.read() as s:
        assert runs.unfinished_run(s, config={"name": "maze"}) == "maze"
        assert runs.unfinished_run(s, config={"name": "other"}) is None
    put(scene, RunState.FINISHED)
    with scene.database.read() as s:
        assert runs.unfinished_run(s, config={"name": "maze"}) is None


def test_progress_is_stored(scene: Scene) -> None:
    with scene.write() as s:
        runs.update_progress(
            s, run_id=scene.run_id, iteration=3, steps=5_000_000_000, steps_per_second=None
        )
    with scene.database.read() as s:
        run = s.get_one(Run, scene.run_id)
        assert (run.iteration, run.steps, run.steps_per_second) == (3, 5_000_000_000, None)

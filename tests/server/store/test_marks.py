from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from server.models import CommandKind
from server.store import runs, versions
from server.store.marks import Clock, read_marks

if TYPE_CHECKING:
    from conftest import Scene

BEGIN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


def clock(*minutes: float) -> Clock:
    return Clock(
        [1000 * (i + 1) for i in range(len(minutes))], [at(one).timestamp() for one in minutes]
    )


def test_a_moment_is_marked_at_the_last_step_before_it() -> None:
    times = clock(1, 2, 3)
    assert [times.step_at(at(m)) for m in (0.5, 1, 2.9, 99)] == [0, 1000, 2000, 3000]
    assert Clock([], []).step_at(BEGIN) == 0


def test_a_clock_that_was_set_back_is_taken_to_have_stood_still() -> None:
    times = clock(1, 5, 2, 6)
    assert [times.step_at(at(m)) for m in (1.5, 5, 6)] == [1000, 3000, 4000]


def test_versions_commands_and_bursts_in_their_order(scene: Scene) -> None:
    begin = scene.now
    times = Clock(
        [0, 1000, 2000], [(begin + timedelta(minutes=m)).timestamp() for m in (0, 2.5, 6)]
    )
    with scene.write() as s:
        versions.add_reward_model(
            s,
            run_id=scene.run_id,
            artifact="0" * 64,
            iteration=1,
            steps=1500,
            preferences=3,
            last_preference_id=None,
            metrics={},
            now=begin + timedelta(minutes=1),
        )
        for minutes, kind in ((2, CommandKind.PAUSE), (3, CommandKind.RESUME)):
            moment = begin + timedelta(minutes=minutes)
            runs.send_command(s, run_id=scene.run_id, kind=kind, person_id=None, now=moment)
    scene.ask(25)
    person = scene.person("Ada")
    scene.later(300)
    for number in range(25):  # twelve in a row, then now and then
        scene.later(15 if number < 12 else 1200)
        scene.submit(*scene.next(person))
    with scene.database.read() as s:
        marks = read_marks(s, run_id=scene.run_id, clock=times)
    assert [(mark.kind, mark.step, mark.text) for mark in marks] == [
        ("version", 1500, "reward model v1"),
        ("command", 0, "paused"),
        ("command", 1000, "resumed"),
        ("labels", 1000, "12 labels in 3 min"),
    ]

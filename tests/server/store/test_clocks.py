"""Clocks that jump: no answer is lost, no slot held twice, no figure negative."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from server.errors import Conflict, TooMany
from server.models import Assignment, CommandKind, Preference, Query, Run, RunState
from server.store import assignments, labelling, runs, sessions, throttle

if TYPE_CHECKING:
    from conftest import Scene

HOUR, DAY = 3600.0, 86_400.0
JUMPS = list(itertools.product((-HOUR, DAY), (-DAY, -HOUR, DAY)))
"""What the clock does before the second person asks, and after."""


def holders(scene: Scene) -> int:
    """People with a live lease, and answers, of the fullest query: never more than it has slots."""
    with scene.database.read() as s:
        held = (
            select(func.count())
            .where(
                Assignment.query_id == Query.id,
                Assignment.closed_at.is_(None),
                Assignment.expires_at >= scene.now,
            )
            .correlate(Query)
            .scalar_subquery()
        )
        return s.scalar(select(func.max(held))) or 0


@pytest.mark.parametrize(("first", "second"), JUMPS)
def test_no_slot_is_held_twice_and_no_answer_is_lost(
    scene: Scene, first: float, second: float
) -> None:
    (query,) = scene.ask()
    ada, bob = scene.person("ada"), scene.person("bob")
    (hers,) = scene.next(ada)
    scene.later(first)
    his = scene.next(bob)
    assert len(his) == (first > 0)  # only an expired lease goes to somebody else
    scene.later(second)
    assert holders(scene) <= 1
    both = [*scene.next(ada), *scene.next(bob), *scene.next(ada)]
    assert len({pair.person_id for pair in both}) == 1
    assert holders(scene) == 1
    for pair in (hers, *his):
        assert scene.submit(pair, key=f"{pair.person_id}").seconds == 2.0
    assert scene.counts().total_labels == scene.total(Preference) == 1 + len(his)
    with scene.database.read() as s:
        assert s.get_one(Query, query).state == "closed"


def test_a_lease_that_went_to_somebody_else_stays_theirs_when_the_clock_is_set_back(
    scene: Scene,
) -> None:
    scene.ask(answers_wanted=2)
    people = [scene.person(name) for name in ("ada", "bob", "eve")]
    first = [scene.next(person)[0] for person in people[:2]]
    scene.later(DAY)
    (taken,) = scene.next(people[2])
    scene.later(-DAY)
    assert holders(scene) == 2  # one of the two had to give way
    with pytest.raises(Conflict, match="gone to somebody else"):
        _renew(scene, first[1])
    assert _renew(scene, first[0]).id == first[0].id
    assert _renew(scene, taken).id == taken.id


def _renew(scene: Scene, pair: assignments.Assignment) -> assignments.Assignment:
    with scene.write() as s:
        return assignments.renew(
            s, assignment_id=pair.id, person_id=pair.person_id, now=scene.now, seconds=120
        )


@pytest.mark.parametrize("jump", [-HOUR, DAY])
def test_renewal_undo_and_correction_go_on(scene: Scene, jump: float) -> None:
    scene.ask(3)
    ada = scene.person("ada")
    pair, other = scene.next(ada, count=2)
    scene.later(jump)
    assert _renew(scene, pair).expires_at > scene.now
    answer = scene.submit(pair, key="one")
    scene.later(-jump)
    withdrawal, again = scene.undo(ada, "undo")
    assert withdrawal.replaces_id == answer.id
    assert again is not None
    scene.later(jump)
    assert scene.undo(ada, "undo")[1] == again  # a retry, whatever the time is
    scene.submit(again, key="two")
    scene.submit(other, key="three")
    own = scene.progress(ada)
    assert (own.total, scene.counts().total_labels) == (2, 2)
    assert 0 <= own.today <= own.total
    assert own.median_seconds == 2.0
    assert own.left == 998


@pytest.mark.parametrize("jump", [-HOUR, DAY])
def test_the_next_pairs_are_never_due_in_the_past(scene: Scene, jump: float) -> None:
    scene.ask(iteration=1)
    scene.later(60)
    scene.ask(iteration=2)
    scene.later(jump)
    with scene.database.read() as s:
        due = labelling.next_asked_in(s, run_id=scene.run_id, now=scene.now)
    assert due is not None
    assert due >= 0


def test_a_login_outlives_a_clock_that_jumps_ahead_and_comes_back(scene: Scene) -> None:
    ada = scene.person("ada")
    with scene.write() as s:
        begun = sessions.begin(
            s,
            person_id=ada,
            fingerprint="f" * 64,
            browser="Firefox",
            lasts=timedelta(days=30),
            now=scene.now,
        ).id

    def is_in() -> bool:
        with scene.write() as s:
            found = sessions.find(s, fingerprint="f" * 64, idle=timedelta(hours=12), now=scene.now)
            return found is not None and found.session.id == begun

    scene.later(-HOUR)
    assert is_in()
    scene.later(HOUR + DAY)
    assert not is_in()
    scene.later(-DAY)
    assert is_in()


def test_nobody_is_kept_out_for_failures_of_a_time_that_was_wrong(scene: Scene) -> None:
    def attempt() -> None:
        with scene.write() as s:
            throttle.attempt(s, name="ada", address="192.0.2.1", now=scene.now)

    def fill() -> None:
        for _ in range(throttle.MOST_OF_NAME_AND_ADDRESS):
            attempt()
        with pytest.raises(TooMany, match=r"again in 1?\d min"):
            attempt()

    scene.later(DAY)
    fill()
    scene.later(-DAY)
    fill()  # counted afresh, and as strictly
    scene.later(-60)
    with pytest.raises(TooMany, match="again in 16 min"):
        attempt()
    scene.later(DAY)
    attempt()


@pytest.mark.parametrize(
    ("ahead", "free"), [(0.0, False), (25.0, False), (31.0, True), (DAY, True)]
)
def test_a_lease_of_a_time_to_come_holds_no_run(scene: Scene, ahead: float, free: bool) -> None:
    scene.later(ahead)
    with scene.write() as s:
        assert runs.lease_run(s, worker="first", now=scene.now, seconds=30)
    scene.later(-ahead)
    with scene.write() as s:
        runs.send_command(
            s, run_id=scene.run_id, kind=CommandKind.PAUSE, person_id=None, now=scene.now
        )
        took = s.get_one(Run, scene.run_id).state is RunState.PAUSED
        assert took is free  # nobody else is there to do it
        runs.set_state(s, run_id=scene.run_id, state=RunState.RUNNING)
        second = runs.lease_run(s, worker="second", now=scene.now, seconds=30)
        assert (second is not None) is free

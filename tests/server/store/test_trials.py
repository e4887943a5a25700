"""Blind trials: given out between ordinary pairs, judged once, and never a label."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from server.models import Answer, Purpose, Query, QueryState, Run, RunState, Segment
from server.store import assignments, preferences, queries, trajectories, trials, versions
from server.store.slots import Lease, assign

if TYPE_CHECKING:
    from conftest import Scene

    from server.store.assignments import Assignment


def performance(scene: Scene, steps: int, place: int, clip: str | None = "c" * 64) -> int:
    with scene.write() as s:
        trajectory = trajectories.add_trajectory(
            s,
            run_id=scene.run_id,
            artifact="0" * 64,
            episode=f"trial-{steps}-{place}",
            level=1_000_000 + place,
            policy_step=steps,
            steps=75,
            true_return=1.0,
            now=scene.now,
        )
        segment = trajectories.add_segment(
            s,
            run_id=scene.run_id,
            trajectory_id=trajectory.id,
            start=0,
            length=75,
            true_return=float(steps + place),
        )
        segment.clip = clip
        return segment.id


def stage(scene: Scene, older: int, newer: int, pairs: int, clip: str | None = "c" * 64) -> None:
    """A trial of two checkpoints whose clips are made."""
    for steps in (older, newer):
        for place in range(pairs):
            performance(scene, steps, place, clip)
    with scene.write() as s:
        old = trials.performances(s, run_id=scene.run_id, steps=older)
        new = trials.performances(s, run_id=scene.run_id, steps=newer)
        trial = trials.add_trial(
            s, run_id=scene.run_id, older_steps=older, newer_steps=newer, now=scene.now
        )
        for place in range(pairs):
            queries.add_query(
                s,
                run_id=scene.run_id,
                segment_a_id=new[place],
                segment_b_id=old[place],
                iteration=0,
                trial_id=trial.id,
                now=scene.now,
            )


def purposes(scene: Scene, person: int, count: int) -> list[Purpose]:
    """Why so many pairs in a row are given to somebody, each answered with the left clip."""
    found = []
    for _ in range(count):
        pair: Assignment
        (pair,) = scene.next(person, rng=random.Random(len(found)))
        found.append(pair.purpose)
        scene.submit(pair)
    return found


def test_a_share_of_pairs_is_of_the_trial_and_no_label(scene: Scene) -> None:
    stage(scene, 1000, 2000, pairs=6)
    scene.rule(trial_share=0.25, gold_share=0.0)
    scene.ask(40)
    ada = scene.person("Ada")
    given = purposes(scene, ada, 30)
    judged = given.count(Purpose.TRIAL)
    assert 1 <= judged <= 6
    counts = scene.counts()
    assert counts.total_labels == 30 - judged
    assert counts.open == 40 - (30 - judged)
    with scene.database.read() as s:
        (result,) = trials.results(s, run_id=scene.run_id)
        rows = preferences.preferences_after(s, run_id=scene.run_id)
    assert result.wins + result.losses == judged
    assert result.pairs == 6
    assert [row.purpose for row in rows].count(Purpose.TRIAL) == judged


def test_trials_go_on_where_nothing_else_is_left(scene: Scene) -> None:
    stage(scene, 1000, 2000, pairs=3)
    scene.rule(trial_share=0.25, gold_share=0.0)
    with scene.write() as s:
        s.get_one(Run, scene.run_id).label_budget = 1
    scene.ask(2)
    ada = scene.person("Ada")
    given = purposes(scene, ada, 3)
    with scene.database.read() as s:
        run = s.get_one(Run, scene.run_id)
        assert trials.trials_left(s, run=run) == 1
    given += purposes(scene, ada, 1)
    assert (given.count(Purpose.ORDINARY), given.count(Purpose.TRIAL)) == (1, 3)
    assert scene.next(ada) == []
    with scene.database.read() as s:
        assert trials.trials_left(s, run=s.get_one(Run, scene.run_id)) == 0


@pytest.mark.parametrize("ended", [RunState.FINISHED, RunState.STOPPED, None])
def test_trials_end_with_the_run_and_only_come_where_the_rules_want_them(
    scene: Scene, ended: RunState | None
) -> None:
    stage(scene, 1000, 2000, pairs=3)
    scene.rule(trial_share=0.25 if ended else 0.0)
    with scene.write() as s:
        s.get_one(Run, scene.run_id).state = ended or RunState.RUNNING
    assert scene.next(scene.person("Ada")) == []


def test_one_pair_goes_to_one_person_however_many_ask_at_once(
    scene: Scene, at_once: Callable[..., list[Any]]
) -> None:
    stage(scene, 1000, 2000, pairs=4)
    people = [scene.person(f"person {number}") for number in range(8)]

    def take(person: int) -> int | None:
        with scene.write() as s:
            pair = trials.take_trial(s, lease_of(scene, person), random.Random(0))
            time.sleep(0.05)  # others look before this is committed
            return None if pair is None else pair.query_id

    taken = [query for query in at_once(take, people) if query is not None]
    assert len(taken) == len(set(taken)) == 4


def test_a_pair_is_one_pair_whatever_was_said_of_it_and_by_how_many(scene: Scene) -> None:
    stage(scene, 1000, 2000, pairs=5)
    stage(scene, 2000, 3000, pairs=5)
    said = {6: "ab", 7: "aab", 8: "i", 9: "it", 10: ""}
    sides: dict[str, assignments.Side] = {"a": "left", "b": "right", "i": "incomparable"}
    for number, answers in said.items():
        for place, one in enumerate(answers):
            person = scene.person(f"person {number}-{place}")
            with scene.write() as s:
                pair = assign(
                    s,
                    lease_of(scene, person),
                    query_id=number,
                    a_on_left=True,
                    purpose=Purpose.TRIAL,
                )
                assignments.submit(
                    s,
                    assignment_id=pair.id,
                    person_id=person,
                    side=sides.get(one, "tie"),
                    seconds=1.0,
                    submission_key=f"key-{number:03}-{place}",
                    now=scene.now,
                )
    with scene.database.read() as s:
        older, newest = trials.results(s, run_id=scene.run_id)
    assert (newest.wins, newest.losses, newest.ties, newest.untold) == (1, 0, 2, 1)
    assert (newest.waiting, newest.pairs) == (1, 5)
    assert (older.waiting, older.pairs) == (0, 5)  # nobody is asked about it any more


def test_a_pair_is_judged_once_and_only_of_the_newest_trial(scene: Scene) -> None:
    stage(scene, 1000, 2000, pairs=2)
    stage(scene, 2000, 3000, pairs=1)
    scene.rule(trial_share=0.25, gold_share=0.0)
    scene.ask(60)
    people = [scene.person("Ada"), scene.person("Ben")]
    given = [purpose for person in people for purpose in purposes(scene, person, 25)]
    assert given.count(Purpose.TRIAL) == 1
    with scene.database.read() as s:
        older, newest = trials.results(s, run_id=scene.run_id)
        assert s.scalar(trials.WAITING, {"run_id": scene.run_id}) is None
    assert (older.decided, newest.decided) == (0, 1)


def test_the_side_says_nothing_and_the_answer_is_counted_for_the_right_agent(scene: Scene) -> None:
    stage(scene, 1000, 2000, pairs=40)
    ada = scene.person("Ada")
    sides = []
    for number in range(40):
        with scene.write() as s:
            pair = trials.take_trial(s, lease_of(scene, ada), random.Random(number))
            assert pair is not None
            sides.append(pair.a_on_left)
        with scene.write() as s:
            assignments.submit(
                s,
                assignment_id=pair.id,
                person_id=ada,
                side="left" if sides[-1] else "right",  # always the newer one
                seconds=1.0,
                submission_key=f"key-{number:04}",
                now=scene.now,
            )
    with scene.database.read() as s:
        (result,) = trials.results(s, run_id=scene.run_id)
    assert (result.wins, result.losses) == (40, 0)
    assert 8 < sum(sides) < 32


def lease_of(scene: Scene, person: int) -> Lease:
    return Lease(scene.run_id, person, scene.now, scene.now + timedelta(minutes=2))


def test_an_oracle_answers_at_once_and_nothing_is_rendered(scene: Scene) -> None:
    stage(scene, 1000, 2000, pairs=3, clip=None)
    with scene.write() as s:
        waiting = trajectories.segments_without_clip(s, run_id=scene.run_id, limit=99)
        assert len(waiting) == 6
        for query in s.query(Query).order_by(Query.id):
            preferences.record_known(
                s,
                query=query,
                kind="synthetic",
                settings={},
                answer=Answer.B,
                purpose=Purpose.TRIAL,
                now=scene.now,
            )
    with scene.database.read() as s:
        assert trajectories.segments_without_clip(s, run_id=scene.run_id, limit=99) == []
        (result,) = trials.results(s, run_id=scene.run_id)
        assert {query.state for query in s.query(Query)} == {QueryState.CLOSED}
    assert (result.wins, result.losses, result.ties) == (0, 3, 0)
    assert scene.counts().total_labels == 0


def test_clips_that_are_ready_make_a_trial_ready_but_open_no_query(scene: Scene) -> None:
    stage(scene, 1000, 2000, pairs=1, clip=None)
    with scene.database.read() as s:
        assert s.scalar(trials.WAITING, {"run_id": scene.run_id}) is None
        segments = [segment.id for segment in s.query(Segment)]
    for segment_id in segments:
        with scene.write() as s:
            trajectories.set_clip(s, segment_id=segment_id, clip="d" * 64)
    with scene.database.read() as s:
        assert s.scalar(trials.WAITING, {"run_id": scene.run_id}) is not None
    assert scene.counts().open == 0


@pytest.mark.parametrize(
    ("kept", "expected"), [([], None), ([1000], 1000), ([1000, 2000, 3000, 4000], 2000)]
)
def test_the_opponent_is_the_third_kept_one_before(
    scene: Scene, kept: list[int], expected: int | None
) -> None:
    with scene.write() as s:
        for number, steps in enumerate([*kept, 5000], start=1):
            versions.add_checkpoint(
                s,
                run_id=scene.run_id,
                iteration=number,
                steps=steps,
                artifact="0" * 64,
                kept=True,
                now=scene.now,
            )
        assert trials.opponent(s, run_id=scene.run_id, steps=5000) == expected

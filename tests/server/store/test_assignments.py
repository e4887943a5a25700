from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from server import models
from server.errors import Conflict, Forbidden, Invalid, NotFound
from server.models import Answer, Preference, Query, QueryState, RunState
from server.store import assignments, progress, trajectories

if TYPE_CHECKING:
    from conftest import Scene

ANNOTATORS = Path(__file__).with_name("annotators.py")


def label_in_processes(scene: Scene, database_url: str, people: list[list[int]]) -> list[str]:
    """One process per list of people; the answers that were acknowledged."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(ANNOTATORS), database_url, str(scene.run_id), *map(str, group)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for group in people
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [error for _, error in results] == [""] * len(people)
    return [line for output, _ in results for line in output.splitlines()]


@pytest.mark.slow
def test_sixteen_people_in_four_processes_never_share_a_pair(
    scene: Scene, database_url: str
) -> None:
    asked = scene.ask(100)
    people = [[scene.person(f"p{i}{j}") for j in range(4)] for i in range(4)]
    told = label_in_processes(scene, database_url, people)
    assert sorted(int(line.split()[0]) for line in told) == asked
    assert scene.total(models.Assignment) == scene.total(Preference) == 100
    assert scene.counts().answered == 100


@pytest.mark.slow
def test_slots_are_filled_and_never_overbooked(scene: Scene, database_url: str) -> None:
    scene.ask(15, answers_wanted=3)
    people = [[scene.person(f"p{i}{j}") for j in range(4)] for i in range(2)]
    told = label_in_processes(scene, database_url, people)
    assert len(set(told)) == len(told) == 45
    assert set(Counter(line.split()[0] for line in told).values()) == {3}
    assert scene.total(models.Assignment) == 45


def test_one_person_in_many_tabs_holds_each_pair_once(
    scene: Scene, at_once: Callable[..., list[Any]]
) -> None:
    asked = scene.ask(3)
    person = scene.person("ada")
    tabs = at_once(lambda _: scene.next(person, count=2), list(range(8)))
    assert {tuple(pair.query_id for pair in tab) for tab in tabs} == {tuple(asked[:2])}
    assert scene.total(models.Assignment) == 2


def test_newest_iteration_first_then_priority(scene: Scene) -> None:
    (old,) = scene.ask(iteration=1, priority=9.0)
    (low,) = scene.ask(iteration=2, priority=0.1)
    (high,) = scene.ask(iteration=2, priority=0.5)
    pairs = scene.next(scene.person("ada"), count=5)
    assert [pair.query_id for pair in pairs] == [high, low, old]


def test_pairs_without_clips_and_of_other_runs_are_not_given(scene: Scene) -> None:
    with scene.write() as s:
        scene.ask_one(s, clip=None)
    (other,) = scene.ask()
    with scene.write() as s:
        s.get_one(Query, other).run_id = scene.add_run(s, "other").id
    assert scene.next(scene.person("ada")) == []


def test_sides_are_shuffled_and_the_answer_knows_them(scene: Scene) -> None:
    scene.ask(40)
    pairs = scene.next(scene.person("ada"), count=40)
    assert 5 < sum(pair.a_on_left for pair in pairs) < 35
    for pair in pairs:
        stored = scene.submit(pair, "left")
        assert stored.answer is (Answer.A if pair.a_on_left else Answer.B)
        assert stored.a_on_left == pair.a_on_left
        with scene.database.read() as s:
            asked = s.get_one(Query, pair.query_id)
        chosen = asked.segment_a_id if stored.answer is Answer.A else asked.segment_b_id
        assert chosen == pair.left_segment_id


def test_a_held_pair_is_given_again_with_the_same_sides(scene: Scene) -> None:
    scene.ask(4)
    person = scene.person("ada")
    first = scene.next(person, count=2)
    scene.later(60)
    again = scene.next(person, count=2)
    assert [(p.id, p.a_on_left) for p in again] == [(p.id, p.a_on_left) for p in first]
    assert again[0].expires_at > first[0].expires_at


def test_the_preloaded_pair_becomes_the_current_one(scene: Scene) -> None:
    scene.ask(3)
    person = scene.person("ada")
    current, preloaded = scene.next(person, count=2)
    scene.submit(current)
    after = scene.next(person, count=2)
    assert after[0].id == preloaded.id
    assert after[1].query_id not in {current.query_id, preloaded.query_id}


def test_an_expired_lease_goes_to_others_and_a_late_answer_is_kept(scene: Scene) -> None:
    (query,) = scene.ask()
    slow, quick = scene.person("slow"), scene.person("quick")
    (forgotten,) = scene.next(slow, seconds=120)
    assert scene.next(quick) == []
    scene.later(121)
    (taken,) = scene.next(quick)
    assert taken.query_id == query
    assert scene.submit(taken).late is False
    assert scene.submit(forgotten).late is True
    assert scene.counts().total_labels == 2


def test_an_expired_lease_that_nobody_took_is_renewed(scene: Scene) -> None:
    scene.ask()
    person = scene.person("ada")
    (pair,) = scene.next(person)
    scene.later(1000)
    (again,) = scene.next(person)
    assert again.id == pair.id
    assert again.a_on_left == pair.a_on_left
    assert scene.next(scene.person("bob")) == []


def test_an_expired_lease_that_somebody_took_is_not_given_again(scene: Scene) -> None:
    scene.ask()
    slow, quick = scene.person("slow"), scene.person("quick")
    scene.next(slow)
    scene.later(121)
    scene.next(quick)
    assert scene.next(slow) == []


def test_renewal_keeps_a_pair(scene: Scene) -> None:
    scene.ask()
    ada, bob = scene.person("ada"), scene.person("bob")
    (pair,) = scene.next(ada)
    for _ in range(3):
        scene.later(100)
        with scene.write() as s:
            assignments.renew(s, assignment_id=pair.id, person_id=ada, now=scene.now, seconds=120)
    assert scene.next(bob) == []
    scene.later(121)
    assert len(scene.next(bob)) == 1
    with scene.write() as s, pytest.raises(Conflict, match="gone to somebody else"):
        assignments.renew(s, assignment_id=pair.id, person_id=ada, now=scene.now, seconds=120)


def test_nobody_gets_a_pair_twice_that_wants_several_answers(scene: Scene) -> None:
    scene.ask(answers_wanted=2)
    ada, bob = scene.person("ada"), scene.person("bob")
    scene.submit(scene.next(ada)[0])
    assert scene.next(ada) == []
    scene.submit(scene.next(bob)[0])
    assert scene.counts().answered == 1
    assert scene.next(scene.person("eve")) == []


def test_fifty_answers_at_once_stay_fifty(scene: Scene, at_once: Callable[..., list[Any]]) -> None:
    scene.ask(50)
    pairs = scene.next(scene.person("ada"), count=50)
    stored = at_once(scene.submit, pairs)
    assert len({row.id for row in stored}) == 50
    assert scene.total(Preference) == 50
    assert scene.counts().answered == 50


def test_a_retry_stores_nothing_new(scene: Scene, at_once: Callable[..., list[Any]]) -> None:
    scene.ask()
    (pair,) = scene.next(scene.person("ada"))
    stored = at_once(lambda _: scene.submit(pair, "tie", key="retry"), list(range(8)))
    assert len({row.id for row in stored}) == 1
    assert scene.total(Preference) == 1
    assert scene.submit(pair, "tie", key="retry").id == stored[0].id


def test_a_key_is_good_for_one_answer_only(scene: Scene) -> None:
    scene.ask(2)
    first, second = scene.next(scene.person("ada"), count=2)
    scene.submit(first, "left", key="k")
    for pair, side in ((first, "right"), (second, "left")):
        with pytest.raises(Conflict, match="submission key"):
            scene.submit(pair, side, key="k")  # type: ignore[arg-type]
    assert scene.total(Preference) == 1


def test_an_answered_pair_takes_no_second_answer(scene: Scene) -> None:
    scene.ask()
    (pair,) = scene.next(scene.person("ada"))
    scene.submit(pair, key="one")
    with pytest.raises(Conflict, match="answered already"):
        scene.submit(pair, key="two")


def test_answers_that_cannot_be_are_refused(scene: Scene) -> None:
    scene.ask()
    ada, eve = scene.person("ada"), scene.person("eve")
    (pair,) = scene.next(ada)
    good: dict[str, Any] = {
        "assignment_id": pair.id,
        "person_id": ada,
        "side": "left",
        "seconds": 1.0,
        "submission_key": "k",
        "now": scene.now,
    }
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"assignment_id": 999}, NotFound),
        ({"person_id": eve}, Forbidden),
        ({"side": "up"}, Invalid),
        ({"seconds": float("nan")}, Invalid),
        ({"seconds": -1.0}, Invalid),
        ({"submission_key": ""}, Invalid),
        ({"submission_key": "k" * 81}, Invalid),
    ]
    for change, error in wrong:
        with scene.write() as s, pytest.raises(error):
            assignments.submit(s, **{**good, **change})
    assert scene.total(Preference) == 0


def test_undo_gives_the_same_pair_back_before_the_others(scene: Scene) -> None:
    scene.ask(4)
    person = scene.person("ada")
    first, second = scene.next(person, count=2)
    answer = scene.submit(first, "left")
    scene.next(person, count=2)
    withdrawal, pair = scene.undo(person, "undo")
    assert (withdrawal.answer, withdrawal.replaces_id) == (Answer.WITHDRAWN, answer.id)
    assert pair is not None
    assert (pair.id, pair.left_segment_id) == (first.id, first.left_segment_id)
    assert [p.id for p in scene.next(person, count=2)] == [first.id, second.id]
    assert scene.next(scene.person("bob"), count=9)[0].query_id != first.query_id
    redone = scene.submit(pair, "right", key="redo")
    assert redone.answer is not answer.answer
    assert scene.total(Preference) == 3
    assert scene.counts().total_labels == 1


def test_undo_goes_back_answer_by_answer(scene: Scene) -> None:
    scene.ask(3)
    person = scene.person("ada")
    answers = [scene.submit(pair) for pair in scene.next(person, count=3)]
    undone = [scene.undo(person, f"undo{i}")[0].replaces_id for i in range(3)]
    assert undone == [answer.id for answer in reversed(answers)]
    with pytest.raises(NotFound, match="no answer to take back"):
        scene.undo(person, "undo3")


def test_a_retried_undo_takes_back_one_answer(scene: Scene) -> None:
    scene.ask(2)
    person = scene.person("ada")
    for pair in scene.next(person, count=2):
        scene.submit(pair)
    withdrawals = [scene.undo(person, "undo") for _ in range(3)]
    assert len({row.id for row, _ in withdrawals}) == 1
    assert len({pair.id for _, pair in withdrawals if pair}) == 1
    assert scene.progress(person).total == 1


def test_an_answer_is_taken_back_once_and_by_its_giver(scene: Scene) -> None:
    scene.ask()
    ada, eve = scene.person("ada"), scene.person("eve")
    answer = scene.submit(scene.next(ada)[0])
    with pytest.raises(Forbidden):
        scene.undo(eve, "u", preference_id=answer.id)
    scene.undo(ada, "u1", preference_id=answer.id)
    with pytest.raises(Conflict, match="taken back already"):
        scene.undo(ada, "u2", preference_id=answer.id)
    with pytest.raises(NotFound):
        scene.undo(ada, "u3", preference_id=999)


def test_undo_of_a_pair_set_aside_brings_nothing_back(scene: Scene) -> None:
    scene.ask(answers_wanted=2)
    person = scene.person("ada")
    (pair,) = scene.next(person)
    scene.submit(pair)
    with scene.write() as s:
        trajectories.clip_failed(s, segment_id=pair.left_segment_id)
    assert scene.undo(person, "u")[1] is None
    assert scene.next(person) == []


def test_undo_brings_no_pair_back_that_somebody_else_has_by_now(scene: Scene) -> None:
    (query,) = scene.ask()
    slow, quick = scene.person("slow"), scene.person("quick")
    (forgotten,) = scene.next(slow, seconds=120)
    scene.later(121)
    (taken,) = scene.next(quick)
    answer = scene.submit(forgotten)
    assert scene.undo(slow, "u", preference_id=answer.id)[1] is None
    assert scene.next(slow) == []
    assert [pair.id for pair in scene.next(quick)] == [taken.id]
    scene.submit(taken)
    assert scene.counts().total_labels == 1
    with scene.database.read() as s:
        assert s.get_one(Query, query).state is QueryState.CLOSED


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.FAILED, RunState.STOPPED])
def test_a_run_that_has_ended_gives_no_pair_and_takes_what_is_answered(
    scene: Scene, state: RunState
) -> None:
    scene.ask(3)
    person = scene.person("ada")
    (held,) = scene.next(person)
    for now, pairs in ((state, 0), (RunState.PAUSED, 1), (RunState.RUNNING, 1), (state, 0)):
        with scene.write() as s:
            s.get_one(models.Run, scene.run_id).state = now
        assert len(scene.next(person)) == pairs
    assert scene.submit(held).late is False
    assert scene.counts().total_labels == 1


def test_progress_counts_what_stands(scene: Scene) -> None:
    scene.ask(4)
    ada, bob = scene.person("ada"), scene.person("bob")
    assert scene.progress(ada) == progress.Progress(0, 0, None, 1000, 1000, None)
    first, second, third = scene.next(ada, count=3)
    scene.submit(first)
    scene.later(86_400)
    stands = scene.submit(second, "tie")
    scene.submit(third)
    scene.undo(ada, "u")
    scene.submit(scene.next(bob)[0])
    assert scene.progress(ada) == progress.Progress(1, 2, 2.0, 997, 997, stands.id)


def test_a_kill_in_mid_transaction_leaves_no_half_answer(scene: Scene, database_url: str) -> None:
    (query,) = scene.ask()
    (pair,) = scene.next(scene.person("ada"))
    script = f"""
import os, signal
from datetime import UTC, datetime
from server.database import Database
from server.store import assignments
with Database({database_url!r}).write() as s:
    assignments.submit(s, assignment_id={pair.id}, person_id={pair.person_id}, side="left",
                   seconds=1.0, submission_key="k", now=datetime.now(UTC))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    with scene.database.read() as s:
        assert s.scalars(select(Preference)).all() == []
        assert s.get_one(Query, query).state is QueryState.OPEN
        assert s.get_one(models.Assignment, pair.id).closed_at is None
    assert scene.submit(pair, key="k").id > 0

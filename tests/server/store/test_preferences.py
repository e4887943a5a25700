from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from server.errors import Conflict, Invalid, NotFound
from server.models import Answer, Preference, Query, QueryState, TeacherKind
from server.store import assignments, people, preferences

if TYPE_CHECKING:
    from conftest import Scene


def record(scene: Scene, query_id: int, answer: Answer, key: str, name: str = "oracle") -> int:
    with scene.write() as s:
        teacher = people.synthetic_teacher(s, run_id=scene.run_id, name=name, settings={"beta": 1})
        return preferences.record_answer(
            s,
            run_id=scene.run_id,
            query_id=query_id,
            teacher_id=teacher.id,
            answer=answer,
            submission_key=key,
            now=scene.now,
        ).id


def test_a_synthetic_answer_closes_its_query_without_clips(scene: Scene) -> None:
    with scene.write() as s:
        query = scene.ask_one(s, clip=None)
    first = record(scene, query, Answer.A, "k")
    assert record(scene, query, Answer.A, "k") == first
    assert scene.counts().labels == {Answer.A: 1}
    with scene.database.read() as s:
        assert s.get_one(Query, query).state is QueryState.CLOSED
    with pytest.raises(Conflict, match="submission key"):
        record(scene, query, Answer.B, "k")
    with pytest.raises(Conflict, match="answered already"):
        record(scene, query, Answer.B, "other")
    with pytest.raises(NotFound, match="no query 999"):
        record(scene, 999, Answer.B, "another")
    with pytest.raises(Invalid):
        record(scene, query, Answer.B, "")


def test_a_fit_reads_on_from_the_last_row_it_saw(scene: Scene) -> None:
    scene.ask(2, iteration=4)
    person = scene.person("ada")
    first, second = scene.next(person, count=2)
    answer = scene.submit(first, "left")
    with scene.database.read() as s:
        (seen,) = preferences.preferences_after(s, run_id=scene.run_id)
    assert (seen.id, seen.query_id, seen.answer) == (answer.id, first.query_id, answer.answer)
    assert {seen.segment_a_id, seen.segment_b_id} == {
        first.left_segment_id,
        first.right_segment_id,
    }
    assert (seen.iteration, seen.teacher_kind, seen.late) == (4, TeacherKind.PERSON, False)
    scene.undo(person, "u", preference_id=answer.id)
    scene.submit(second, "tie")
    with scene.database.read() as s:
        rows = preferences.preferences_after(s, run_id=scene.run_id, after_id=seen.id)
        effective = s.scalars(
            preferences.select(preferences.Preference.id).where(preferences.effective())
        ).all()
    assert [(row.answer, row.replaces_id) for row in rows] == [
        (Answer.WITHDRAWN, seen.id),
        (Answer.TIE, None),
    ]
    assert effective == [rows[1].id]


@contextmanager
def being_stored(
    scene: Scene, given: assignments.Assignment, key: str = "slow"
) -> Iterator[Preference]:
    """An answer whose transaction ends with the block."""
    with scene.write() as s:
        yield assignments.submit(
            s,
            assignment_id=given.id,
            person_id=given.person_id,
            side="left",
            seconds=1.0,
            submission_key=key,
            now=scene.now,
        )


def test_ids_become_visible_in_their_order(scene: Scene) -> None:
    """A reader that goes on after the last id it saw must not miss a slower transaction's row."""
    scene.ask(2)
    slow, quick = scene.next(scene.person("ada"), count=1) + scene.next(scene.person("bob"))
    submitted = threading.Thread(target=scene.submit, args=(quick,))
    with being_stored(scene, slow) as row:
        submitted.start()
        submitted.join(timeout=0.3)
        assert submitted.is_alive()  # it waits for this transaction
        with scene.database.read() as reader:
            assert preferences.preferences_after(reader, run_id=scene.run_id) == []
    submitted.join()
    with scene.database.read() as reader:
        rows = preferences.preferences_after(reader, run_id=scene.run_id)
    assert [one.query_id for one in rows] == [slow.query_id, quick.query_id]
    assert rows[0].id == row.id


def test_one_key_for_two_pairs_at_the_same_moment_is_refused_once(scene: Scene) -> None:
    scene.ask(2)
    one, other = scene.next(scene.person("ada"), count=2)
    refused: list[Exception] = []

    def submit_other() -> None:
        try:
            scene.submit(other, key="same")
        except Conflict as error:
            refused.append(error)

    submitted = threading.Thread(target=submit_other)
    with being_stored(scene, one, key="same"):
        submitted.start()
        submitted.join(timeout=0.3)
    submitted.join()
    assert [str(error) for error in refused] == [preferences.KEY_USED]
    assert scene.total(Preference) == 1


def test_taking_back_waits_for_an_answer_that_is_being_stored(scene: Scene) -> None:
    scene.ask(2)
    ada, bob = scene.person("ada"), scene.person("bob")
    (first,), (second,) = scene.next(ada, count=1), scene.next(bob, count=1)
    scene.submit(first)
    undone = threading.Thread(target=scene.undo, args=(ada, "u"))
    with being_stored(scene, second):
        undone.start()
        undone.join(timeout=0.3)
        assert undone.is_alive()
    undone.join()
    with scene.database.read() as reader:
        rows = preferences.preferences_after(reader, run_id=scene.run_id)
    assert [row.answer is Answer.WITHDRAWN for row in rows] == [False, False, True]

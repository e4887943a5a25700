"""Preferences: rows that are only ever added.

A row counts (is effective) unless it is a withdrawal or a later row replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, bindparam, func, select, tuple_
from sqlalchemy.orm import Session, aliased

from server.errors import Conflict, Invalid, NotFound
from server.models import (
    Answer,
    Preference,
    Purpose,
    Query,
    QueryState,
    Strength,
    Teacher,
    TeacherKind,
)
from server.store.labellers import excluded_pairs
from server.store.locks import lock_answers
from server.store.people import answering_teacher

KEY_USED = "this submission key was used for another answer; make a new key"


@dataclass(frozen=True)
class PreferenceRow:
    """A preference with what a fit needs to know about its query.

    Attributes:
        strategy: by which its pair was chosen, e.g. "uniform"; None where that is not known.
        purpose: only ordinary answers are labels.
        strength: how much better, where the run asked and the answer says.
        replaces_id: the row that no longer counts because of this one.
    """

    id: int
    query_id: int
    segment_a_id: int
    segment_b_id: int
    iteration: int
    strategy: str | None
    teacher_id: int
    teacher_kind: TeacherKind
    purpose: Purpose
    answer: Answer
    strength: Strength | None
    replaces_id: int | None
    late: bool
    seconds: float | None
    created_at: datetime


_LATER = aliased(Preference)
_EFFECTIVE = and_(
    Preference.answer != Answer.WITHDRAWN,
    ~select(_LATER.id).where(_LATER.replaces_id == Preference.id).correlate(Preference).exists(),
)
FOLLOWING = select(Teacher.id).where(
    Teacher.kind.in_((TeacherKind.DEMONSTRATION, TeacherKind.RANKING))
)
"""Teachers whose answers follow from something else without asking: no labels of a budget."""
_ORDINARY = and_(_EFFECTIVE, Preference.purpose == Purpose.ORDINARY)
_GIVEN = and_(
    _ORDINARY,
    Preference.teacher_id.not_in(FOLLOWING),
    tuple_(Preference.run_id, Preference.teacher_id).not_in(excluded_pairs()),
)
_WITH_KEY = select(Preference).where(
    Preference.teacher_id == bindparam("teacher_id"),
    Preference.submission_key == bindparam("key"),
)
_ANSWERED = select(Preference.id).where(
    Preference.query_id == bindparam("query_id"),
    Preference.teacher_id == bindparam("teacher_id"),
    Preference.purpose == bindparam("purpose"),
    _EFFECTIVE,
)
_VOTES = (
    select(Preference.answer, func.count())
    .where(Preference.query_id == bindparam("query_id"), _ORDINARY)
    .group_by(Preference.answer)
)


def effective() -> ColumnElement[bool]:
    """The condition under which a preference counts."""
    return _EFFECTIVE


def given() -> ColumnElement[bool]:
    """The condition under which a preference is one of the labels of a budget.

    It counts, somebody gave it (demonstrations and rankings are followed without asking) whose
    answers are not excluded, and it is to be learned from: answers to gold and repeated pairs tell
    about people.
    """
    return _GIVEN


def preferences_after(s: Session, *, run_id: int, after_id: int = 0) -> list[PreferenceRow]:
    """All rows of a run with a higher id, withdrawals among them, in the order of their ids."""
    rows = s.execute(
        select(
            Preference.id,
            Preference.query_id,
            Query.segment_a_id,
            Query.segment_b_id,
            Query.iteration,
            Query.selection["strategy"].as_string().label("strategy"),
            Preference.teacher_id,
            Teacher.kind.label("teacher_kind"),
            Preference.purpose,
            Preference.answer,
            Preference.strength,
            Preference.replaces_id,
            Preference.late,
            Preference.seconds,
            Preference.created_at,
        )
        .join(Query, Query.id == Preference.query_id)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(Preference.run_id == run_id, Preference.id > after_id)
        .order_by(Preference.id)
    )
    return [PreferenceRow(**row) for row in rows.mappings()]


def record_answer(
    s: Session,
    *,
    run_id: int,
    query_id: int,
    teacher_id: int,
    answer: Answer,
    submission_key: str,
    now: datetime,
    purpose: Purpose = Purpose.ORDINARY,
) -> Preference:
    """Store the answer of a teacher that saw no sides; a repeated key stores nothing new.

    Raises:
        NotFound: no such query in this run.
        Conflict: the key was used for another answer, or this teacher has answered the query.
    """
    check_key(submission_key)
    lock_answers(s, run_id)
    query = s.get(Query, query_id)
    if query is None or query.run_id != run_id:
        raise NotFound(f"no query {query_id} in this run")
    earlier = with_key(s, teacher_id=teacher_id, submission_key=submission_key)
    if earlier is not None:
        if (earlier.query_id, earlier.answer) != (query_id, answer):
            raise Conflict(KEY_USED)
        return earlier
    refuse_second(s, query_id=query_id, teacher_id=teacher_id, purpose=purpose)
    preference = Preference(
        run_id=run_id,
        query_id=query_id,
        teacher_id=teacher_id,
        purpose=purpose,
        answer=answer,
        submission_key=submission_key,
        created_at=now,
    )
    s.add(preference)
    s.flush()
    settle(s, query=query)
    return preference


def record_known(
    s: Session,
    *,
    query: Query,
    kind: Literal["synthetic", "demonstration", "ranking"],
    settings: dict[str, Any],
    answer: Answer,
    now: datetime,
    purpose: Purpose = Purpose.ORDINARY,
) -> Preference:
    """Store the answer that a new query comes with, by a teacher of its run with these settings."""
    teacher = answering_teacher(s, query.run_id, kind, settings)
    return record_answer(
        s,
        run_id=query.run_id,
        query_id=query.id,
        teacher_id=teacher.id,
        answer=answer,
        submission_key=f"query-{query.id}",
        now=now,
        purpose=purpose,
    )


def check_key(submission_key: str) -> None:
    """Refuse a key that cannot be stored whole.

    Raises:
        Invalid: empty, or longer than 80 characters.
    """
    if not 1 <= len(submission_key) <= 80:
        raise Invalid("submission_key must have 1 to 80 characters; a UUID will do")


def with_key(s: Session, *, teacher_id: int, submission_key: str) -> Preference | None:
    """What a teacher stored under a submission key."""
    return s.scalar(_WITH_KEY, {"teacher_id": teacher_id, "key": submission_key})


def refuse_second(
    s: Session, *, query_id: int, teacher_id: int, purpose: Purpose = Purpose.ORDINARY
) -> None:
    """Let a teacher answer a query once, and once more where it comes again as a repeat.

    Raises:
        Conflict: an answer that counts is there already.
    """
    answered = s.scalar(
        _ANSWERED, {"query_id": query_id, "teacher_id": teacher_id, "purpose": purpose}
    )
    if answered is not None:
        raise Conflict("this pair is answered already; undo that answer to change it")


def settle(s: Session, *, query: Query) -> None:
    """Close a query with answers enough, or open one that has lost an answer again.

    While people do not agree by majority one more is asked, up to the query's limit. A gold query
    is closed: its answer is known. So is one of a trial, which is given out like a gold one.
    """
    if query.trial_id is not None:
        if query.state is QueryState.PENDING:  # answered at once: nobody need see it
            query.state = QueryState.CLOSED
        s.flush()
        return
    votes = dict(s.execute(_VOTES, {"query_id": query.id}).all())
    answers = sum(votes.values())
    split = answers > 1 and 2 * max(votes.values()) <= answers
    if split and query.answers_wanted <= answers < query.answers_limit:
        query.answers_wanted = answers + 1
    enough = answers >= query.answers_wanted or query.gold is not None
    if query.state is QueryState.PENDING and query.gold is not None:
        enough = False  # it is to be shown: its clips are still to be made
    if enough and query.state in (QueryState.PENDING, QueryState.OPEN):
        query.state = QueryState.CLOSED
    elif not enough and query.state is QueryState.CLOSED:
        query.state = QueryState.OPEN
    s.flush()

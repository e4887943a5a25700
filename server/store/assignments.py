"""Assignments: pairs leased to people, and what people do with them.

Within one transaction call `submit` or `withdraw` before `next_assignments` (see `locks`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session, aliased

from server import models
from server.errors import Conflict, Forbidden, Invalid, NotFound
from server.models import Answer, Preference, Query, QueryState, Segment, Teacher
from server.store.locks import lock_answers, lock_person
from server.store.people import teacher_for_person
from server.store.preferences import check_key, effective, refuse_second, settle, with_key
from server.store.slots import has_free_slot, take_slot

Side = Literal["left", "right", "tie", "incomparable"]

_A, _B = aliased(Segment), aliased(Segment)
_VIEWS = (
    select(models.Assignment, Query.run_id, _A.id, _A.clip, _B.id, _B.clip)
    .join(Query, Query.id == models.Assignment.query_id)
    .join(_A, _A.id == Query.segment_a_id)
    .join(_B, _B.id == Query.segment_b_id)
    .where(models.Assignment.id.in_(bindparam("ids", expanding=True)))
)
_WITH_QUERY = select(models.Assignment, Query).join(Query, Query.id == models.Assignment.query_id)
_HELD = (
    _WITH_QUERY.where(
        Query.run_id == bindparam("run_id"),
        Query.state == QueryState.OPEN,
        models.Assignment.person_id == bindparam("person_id"),
        models.Assignment.closed_at.is_(None),
    )
    .order_by(models.Assignment.id)
    .with_for_update(of=Query, skip_locked=True, key_share=True)
    .execution_options(populate_existing=True)
)
_LOCKED = (
    _WITH_QUERY.where(models.Assignment.id == bindparam("id"))
    .with_for_update(of=Query, key_share=True)
    .execution_options(populate_existing=True)
)
_CLOSE = (  # all that a person holds of a query: it may have been given to them twice
    update(models.Assignment)
    .where(
        models.Assignment.query_id == bindparam("query"),
        models.Assignment.person_id == bindparam("person"),
        models.Assignment.closed_at.is_(None),
    )
    .values(closed_at=bindparam("at", type_=models.UtcDateTime()))
    .execution_options(synchronize_session=False)
)
_LAST = (
    select(Preference)
    .where(
        Preference.run_id == bindparam("run_id"),
        Preference.teacher_id == bindparam("teacher_id"),
        effective(),
    )
    .order_by(Preference.id.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Assignment:
    """A pair as one person sees it.

    Attributes:
        left_clip, right_clip: artifacts of the videos.
        expires_at: until then it is nobody else's.
    """

    id: int
    run_id: int
    query_id: int
    person_id: int
    a_on_left: bool
    expires_at: datetime
    left_segment_id: int
    right_segment_id: int
    left_clip: str
    right_clip: str


def next_assignments(
    s: Session,
    *,
    run_id: int,
    person_id: int,
    now: datetime,
    seconds: float,
    count: int = 2,
    rng: random.Random | None = None,
) -> list[Assignment]:
    """The pairs a person works on next: those they hold, renewed, topped up to `count`.

    The first is the current one, the rest can be preloaded. Newer iterations come first, then
    higher priority. Fewer than `count`, or none, where no more pairs are ready. `rng` shuffles the
    sides.
    """
    lock_person(s, person_id)
    expires_at = now + timedelta(seconds=seconds)
    held = _renewed(s, run_id=run_id, person_id=person_id, now=now, expires_at=expires_at)
    sides = rng or random.SystemRandom()
    while len(held) < count:
        taken = take_slot(
            s,
            run_id=run_id,
            person_id=person_id,
            a_on_left=sides.random() < 0.5,
            now=now,
            expires_at=expires_at,
        )
        if taken is None:
            break
        held.append(taken.id)
    return _views(s, held[:count])


def renew(
    s: Session, *, assignment_id: int, person_id: int, now: datetime, seconds: float
) -> Assignment:
    """Hold a pair for longer, also after the lease expired if nobody took it.

    Raises:
        NotFound, Forbidden: no such assignment, or somebody else's.
        Conflict: it is closed, or others have it now. An answer to it is kept all the same.
    """
    assignment, query = _own(s, assignment_id, person_id)
    if assignment.closed_at is not None or query.state is not QueryState.OPEN:
        raise Conflict("this pair is closed; load the next one")
    if assignment.expires_at < now and not has_free_slot(s, query_id=query.id, now=now):
        raise Conflict("this pair has gone to somebody else; your answer is kept all the same")
    assignment.expires_at = now + timedelta(seconds=seconds)
    s.flush()
    return _views(s, [assignment_id])[0]


def give_back(s: Session, *, assignment_id: int, person_id: int, now: datetime) -> None:
    """Let others have a pair; harmless if it is closed.

    Raises:
        NotFound, Forbidden: no such assignment, or somebody else's.
    """
    assignment, _ = _own(s, assignment_id, person_id)
    if assignment.closed_at is None:
        assignment.closed_at = now
        s.flush()


def submit(
    s: Session,
    *,
    assignment_id: int,
    person_id: int,
    side: Side,
    seconds: float | None,
    submission_key: str,
    now: datetime,
) -> Preference:
    """Store a person's answer. The same key with the same answer returns the row stored before.

    An answer after the lease expired is kept and marked late.

    Raises:
        NotFound, Forbidden: no such assignment, or somebody else's.
        Conflict: answered already, or the key was used for another answer.
        Invalid: a side, duration or key that cannot be.
    """
    check_key(submission_key)
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        raise Invalid("seconds must be a number that is not negative")
    assignment, query = _own(s, assignment_id, person_id)
    answer = _answer(side, a_on_left=assignment.a_on_left)
    teacher = teacher_for_person(s, person_id=person_id)
    earlier = with_key(s, teacher_id=teacher.id, submission_key=submission_key)
    if earlier is not None:
        if (earlier.assignment_id, earlier.answer) != (assignment_id, answer):
            raise Conflict("this submission key was used for another answer; make a new key")
        return earlier
    refuse_second(s, query_id=query.id, teacher_id=teacher.id)
    preference = Preference(
        run_id=query.run_id,
        query_id=query.id,
        teacher_id=teacher.id,
        assignment_id=assignment_id,
        answer=answer,
        a_on_left=assignment.a_on_left,
        seconds=seconds,
        late=now > assignment.expires_at,
        submission_key=submission_key,
        created_at=now,
    )
    s.execute(_CLOSE, {"query": query.id, "person": person_id, "at": now})
    s.add(preference)
    s.flush()
    settle(s, query=query)
    return preference


def withdraw(
    s: Session,
    *,
    person_id: int,
    submission_key: str,
    now: datetime,
    seconds: float,
    run_id: int | None = None,
    preference_id: int | None = None,
) -> tuple[Preference, Assignment | None]:
    """Take back an answer: `preference_id`, or the person's last in `run_id` that still counts.

    A withdrawal is a new row; the pair comes back to the same person with the same sides, before
    any other. The same key again returns the same row.

    Returns:
        The withdrawal, and the pair; None for the pair if it has been set aside.

    Raises:
        NotFound: nothing to take back.
        Forbidden: somebody else's answer.
        Conflict: taken back already, or the key was used for something else.
    """
    check_key(submission_key)
    teacher = teacher_for_person(s, person_id=person_id)
    if preference_id is not None:
        run_id = _given(s, teacher, preference_id).run_id
    if run_id is None:
        raise Invalid("name the answer to take back, or the run to take the last one back in")
    lock_answers(s, run_id)
    withdrawal = with_key(s, teacher_id=teacher.id, submission_key=submission_key)
    if withdrawal is not None:
        same = preference_id in (None, withdrawal.replaces_id)
        if withdrawal.answer is not Answer.WITHDRAWN or not same:
            raise Conflict("this submission key was used for an answer; make a new key")
        return withdrawal, _open_view(s, withdrawal.assignment_id)
    if preference_id is None:
        answered = s.scalar(_LAST, {"run_id": run_id, "teacher_id": teacher.id})
    else:
        answered = _given(s, teacher, preference_id)
    if answered is None:
        raise NotFound("there is no answer to take back")
    return _withdraw(s, answered, submission_key, now, seconds)


def _withdraw(
    s: Session, answered: Preference, submission_key: str, now: datetime, seconds: float
) -> tuple[Preference, Assignment | None]:
    counts = select(Preference.id).where(Preference.id == answered.id, effective())
    if answered.assignment_id is None or s.scalar(counts) is None:
        raise Conflict("this answer was taken back already")
    assignment, query = s.execute(_LOCKED, {"id": answered.assignment_id}).one()
    withdrawal = Preference(
        run_id=answered.run_id,
        query_id=answered.query_id,
        teacher_id=answered.teacher_id,
        assignment_id=answered.assignment_id,
        answer=Answer.WITHDRAWN,
        a_on_left=answered.a_on_left,
        replaces_id=answered.id,
        submission_key=submission_key,
        created_at=now,
    )
    s.add(withdrawal)
    s.flush()
    settle(s, query=query)
    if query.state is QueryState.OPEN:
        assignment.closed_at = None
        assignment.expires_at = now + timedelta(seconds=seconds)
        s.flush()
    return withdrawal, _open_view(s, assignment.id)


def _own(s: Session, assignment_id: int, person_id: int) -> tuple[models.Assignment, Query]:
    """A person's assignment and its query, locked together with the run's answers."""
    found = s.execute(
        select(models.Assignment.person_id, Query.run_id)
        .join(Query, Query.id == models.Assignment.query_id)
        .where(models.Assignment.id == assignment_id)
    ).one_or_none()
    if found is None:
        raise NotFound(f"no assignment {assignment_id}")
    if found.person_id != person_id:
        raise Forbidden("this pair was given to somebody else")
    lock_answers(s, found.run_id)
    assignment, query = s.execute(_LOCKED, {"id": assignment_id}).one()
    return assignment, query


def _given(s: Session, teacher: Teacher, preference_id: int) -> Preference:
    preference = s.get(Preference, preference_id)
    if preference is None:
        raise NotFound(f"no answer {preference_id}")
    if preference.teacher_id != teacher.id:
        raise Forbidden("this answer is somebody else's")
    return preference


def _renewed(
    s: Session, *, run_id: int, person_id: int, now: datetime, expires_at: datetime
) -> list[int]:
    """Renew what a person holds, oldest first; an expired one only if its slot is still free."""
    own = s.execute(_HELD, {"run_id": run_id, "person_id": person_id}).all()
    held = []
    for assignment, query in own:
        if assignment.expires_at < now and not has_free_slot(s, query_id=query.id, now=now):
            assignment.closed_at = now
            continue
        assignment.expires_at = expires_at
        held.append(assignment.id)
    s.flush()
    return held


def _views(s: Session, assignment_ids: Sequence[int]) -> list[Assignment]:
    """Assignments with their clips, in the given order."""
    views = {}
    for row, run_id, a_id, a_clip, b_id, b_clip in s.execute(_VIEWS, {"ids": assignment_ids}):
        sides = [(a_id, a_clip or ""), (b_id, b_clip or "")]
        (left_id, left_clip), (right_id, right_clip) = sides if row.a_on_left else sides[::-1]
        views[row.id] = Assignment(
            id=row.id,
            run_id=run_id,
            query_id=row.query_id,
            person_id=row.person_id,
            a_on_left=row.a_on_left,
            expires_at=row.expires_at,
            left_segment_id=left_id,
            right_segment_id=right_id,
            left_clip=left_clip,
            right_clip=right_clip,
        )
    return [views[assignment_id] for assignment_id in assignment_ids]


def _open_view(s: Session, assignment_id: int | None) -> Assignment | None:
    row = None if assignment_id is None else s.get(models.Assignment, assignment_id)
    return _views(s, [row.id])[0] if row is not None and row.closed_at is None else None


def _answer(side: str, *, a_on_left: bool) -> Answer:
    match side:
        case "left":
            return Answer.A if a_on_left else Answer.B
        case "right":
            return Answer.B if a_on_left else Answer.A
        case "tie":
            return Answer.TIE
        case "incomparable":
            return Answer.INCOMPARABLE
    raise Invalid("side must be left, right, tie or incomparable")

"""Assignments: pairs leased to people, and what people do with them.

A query has `answers_wanted` slots. An answer that counts takes one, and so does an assignment until
it expires. Within one transaction call `submit` or `withdraw` before `next_assignments` (see
`locks`).
"""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, Select, func, insert, literal, select
from sqlalchemy.orm import Session, aliased

from server import models
from server.errors import Conflict, Forbidden, Invalid, NotFound
from server.models import Answer, Preference, Query, QueryState, Run, Segment, Teacher
from server.store.locks import lock_answers, lock_person
from server.store.people import teacher_for_person
from server.store.preferences import check_key, effective, refuse_second, settle, with_key

Side = Literal["left", "right", "tie", "incomparable"]
_RECENT = 100


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


@dataclass(frozen=True)
class Progress:
    """What one person has done in a run; withdrawn answers do not count.

    Attributes:
        today: answers since midnight in the zone of `now`.
        total: answers in all.
        median_seconds: of the newest hundred; None before the first.
        left: labels that the run still wants, from anybody.
    """

    today: int
    total: int
    median_seconds: float | None
    left: int


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
    passed_over: set[int] = set()
    while len(held) < count:
        query_id = s.scalar(_candidate(run_id, person_id, now, passed_over))
        if query_id is None:
            break
        leased = _lease(
            s,
            query_id=query_id,
            person_id=person_id,
            now=now,
            expires_at=expires_at,
            a_on_left=(rng or random.SystemRandom()).random() < 0.5,
        )
        if leased is None:
            passed_over.add(query_id)
        else:
            held.append(leased)
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
    lock_answers(s, query.run_id)
    query = _locked_query(s, query.id)
    s.refresh(assignment)
    if assignment.closed_at is not None or query.state is not QueryState.OPEN:
        raise Conflict("this pair is closed; load the next one")
    if assignment.expires_at < now and not _has_slot(s, query.id, now):
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
    lock_answers(s, query.run_id)
    teacher = teacher_for_person(s, person_id=person_id)
    earlier = with_key(s, teacher_id=teacher.id, submission_key=submission_key)
    if earlier is not None:
        if (earlier.assignment_id, earlier.answer) != (assignment_id, answer):
            raise Conflict("this submission key was used for another answer; make a new key")
        return earlier
    query = _locked_query(s, query.id)
    s.refresh(assignment)
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
    assignment.closed_at = assignment.closed_at or now
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
    answered = _to_withdraw(s, teacher, run_id, preference_id)
    run = run_id if answered is None else answered.run_id
    if run is not None:
        lock_answers(s, run)
        answered = _to_withdraw(s, teacher, run_id, preference_id)
    withdrawal = with_key(s, teacher_id=teacher.id, submission_key=submission_key)
    if withdrawal is not None:
        same = preference_id in (None, withdrawal.replaces_id)
        if withdrawal.answer is not Answer.WITHDRAWN or not same:
            raise Conflict("this submission key was used for an answer; make a new key")
        return withdrawal, _open_view(s, withdrawal.assignment_id)
    if answered is None:
        raise NotFound("there is no answer to take back")
    return _withdraw(s, answered, submission_key, now, seconds)


def progress(s: Session, *, run_id: int, person_id: int, now: datetime) -> Progress:
    """What a person has done in a run, and what the run still wants."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    own = (
        select(Preference)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(Preference.run_id == run_id, Teacher.person_id == person_id, effective())
        .subquery()
    )
    total, today = s.execute(
        select(
            func.count(),
            func.count().filter(own.c.created_at >= midnight),
        ).select_from(own)
    ).one()
    recent = s.scalars(
        select(own.c.seconds)
        .where(own.c.seconds.is_not(None))
        .order_by(own.c.id.desc())
        .limit(_RECENT)
    ).all()
    labels = s.scalar(
        select(func.count()).select_from(Preference).where(Preference.run_id == run_id, effective())
    )
    budget = s.scalar(select(Run.label_budget).where(Run.id == run_id))
    return Progress(
        today=today,
        total=total,
        median_seconds=statistics.median(recent) if recent else None,
        left=max(0, (budget or 0) - (labels or 0)),
    )


def _taken(now: datetime) -> ColumnElement[int]:
    """Slots of a query that are in use: answers that count and assignments not expired."""
    answers = (
        select(func.count(Preference.id))
        .where(Preference.query_id == Query.id, effective())
        .correlate(Query)
        .scalar_subquery()
    )
    held = (
        select(func.count(models.Assignment.id))
        .where(
            models.Assignment.query_id == Query.id,
            models.Assignment.closed_at.is_(None),
            models.Assignment.expires_at >= now,
        )
        .correlate(Query)
        .scalar_subquery()
    )
    return answers + held


def _has_slot(s: Session, query_id: int, now: datetime) -> bool:
    free = select(Query.id).where(Query.id == query_id, _taken(now) < Query.answers_wanted)
    return s.scalar(free) is not None


def _candidate(run_id: int, person_id: int, now: datetime, passed_over: set[int]) -> Select[int]:
    """The next query for a person, locked."""
    answered = (
        select(Preference.id)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(Preference.query_id == Query.id, Teacher.person_id == person_id, effective())
        .exists()
    )
    held = (
        select(models.Assignment.id)
        .where(
            models.Assignment.query_id == Query.id,
            models.Assignment.person_id == person_id,
            models.Assignment.closed_at.is_(None),
        )
        .exists()
    )
    return (
        select(Query.id)
        .where(
            Query.run_id == run_id,
            Query.state == QueryState.OPEN,
            Query.id.not_in(passed_over),
            _taken(now) < Query.answers_wanted,
            ~answered,
            ~held,
        )
        .order_by(Query.iteration.desc(), Query.priority.desc(), Query.id)
        .limit(1)
        .with_for_update(of=Query, skip_locked=True, key_share=True)
    )


def _lease(
    s: Session,
    *,
    query_id: int,
    person_id: int,
    now: datetime,
    expires_at: datetime,
    a_on_left: bool,
) -> int | None:
    """Take a slot of a locked query, if one is still free.

    PostgreSQL looks for the candidate in the state before it got the lock; only this second look,
    taken while the lock is held, sees what its last holder did.
    """
    row = select(
        literal(query_id),
        literal(person_id),
        literal(a_on_left),
        literal(now, models.UtcDateTime()),
        literal(expires_at, models.UtcDateTime()),
    ).where(
        select(Query.id)
        .where(
            Query.id == query_id,
            Query.state == QueryState.OPEN,
            _taken(now) < Query.answers_wanted,
        )
        .exists()
    )
    columns = ["query_id", "person_id", "a_on_left", "leased_at", "expires_at"]
    return s.scalar(
        insert(models.Assignment).from_select(columns, row).returning(models.Assignment.id)
    )


def _renewed(
    s: Session, *, run_id: int, person_id: int, now: datetime, expires_at: datetime
) -> list[int]:
    """Renew what a person holds, oldest first; an expired one only if its slot is still free."""
    own = s.execute(
        select(models.Assignment, Query)
        .join(Query, Query.id == models.Assignment.query_id)
        .where(
            Query.run_id == run_id,
            Query.state == QueryState.OPEN,
            models.Assignment.person_id == person_id,
            models.Assignment.closed_at.is_(None),
        )
        .order_by(models.Assignment.id)
        .with_for_update(of=Query, skip_locked=True, key_share=True)
        .execution_options(populate_existing=True)
    )
    held = []
    for assignment, query in own.all():
        if assignment.expires_at < now and not _has_slot(s, query.id, now):
            assignment.closed_at = now
            continue
        assignment.expires_at = expires_at
        s.flush()
        held.append(assignment.id)
    s.flush()
    return held


def _views(s: Session, assignment_ids: list[int]) -> list[Assignment]:
    """Assignments with their clips, in the given order."""
    a, b = aliased(Segment), aliased(Segment)
    rows = s.execute(
        select(models.Assignment, Query.run_id, a.id, a.clip, b.id, b.clip)
        .join(Query, Query.id == models.Assignment.query_id)
        .join(a, a.id == Query.segment_a_id)
        .join(b, b.id == Query.segment_b_id)
        .where(models.Assignment.id.in_(assignment_ids))
        .execution_options(populate_existing=True)
    )
    views = {}
    for row, run_id, a_id, a_clip, b_id, b_clip in rows:
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


def _own(s: Session, assignment_id: int, person_id: int) -> tuple[models.Assignment, Query]:
    assignment = s.get(models.Assignment, assignment_id)
    if assignment is None:
        raise NotFound(f"no assignment {assignment_id}")
    if assignment.person_id != person_id:
        raise Forbidden("this pair was given to somebody else")
    return assignment, s.get_one(Query, assignment.query_id)


def _locked_query(s: Session, query_id: int) -> Query:
    return s.scalars(
        select(Query)
        .where(Query.id == query_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()


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


def _to_withdraw(
    s: Session, teacher: Teacher, run_id: int | None, preference_id: int | None
) -> Preference | None:
    if preference_id is None:
        return s.scalar(
            select(Preference)
            .where(Preference.run_id == run_id, Preference.teacher_id == teacher.id, effective())
            .order_by(Preference.id.desc())
            .limit(1)
        )
    preference = s.get(Preference, preference_id)
    if preference is not None and preference.teacher_id != teacher.id:
        raise Forbidden("this answer is somebody else's")
    return preference


def _withdraw(
    s: Session, answered: Preference, submission_key: str, now: datetime, seconds: float
) -> tuple[Preference, Assignment | None]:
    query = _locked_query(s, answered.query_id)
    counts = select(Preference.id).where(Preference.id == answered.id, effective())
    if s.scalar(counts) is None:
        raise Conflict("this answer was taken back already")
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
    assignment = s.get(models.Assignment, answered.assignment_id)
    if assignment is not None and query.state is QueryState.OPEN:
        assignment.closed_at = None
        assignment.expires_at = now + timedelta(seconds=seconds)
        s.flush()
    return withdrawal, _open_view(s, answered.assignment_id)

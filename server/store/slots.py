"""A query's slots: who may still be given it.

A query has `answers_wanted` slots. An answer that counts takes one, and so does an assignment until
it expires. The statements are built once, because every answer executes them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from server.models import Assignment, Preference, Query, QueryState, Teacher, UtcDateTime
from server.store.preferences import effective

_ANSWERS = (
    select(func.count(Preference.id))
    .where(Preference.query_id == Query.id, effective())
    .correlate(Query)
    .scalar_subquery()
)
_LEASES = (
    select(func.count(Assignment.id))
    .where(
        Assignment.query_id == Query.id,
        Assignment.closed_at.is_(None),
        Assignment.expires_at >= bindparam("now", type_=UtcDateTime()),
    )
    .correlate(Query)
    .scalar_subquery()
)
_ANSWERED_BY_PERSON = (
    select(Preference.id)
    .join(Teacher, Teacher.id == Preference.teacher_id)
    .where(
        Preference.query_id == Query.id, Teacher.person_id == bindparam("person_id"), effective()
    )
    .correlate(Query)
    .exists()
)
_HELD_BY_PERSON = (
    select(Assignment.id)
    .where(
        Assignment.query_id == Query.id,
        Assignment.person_id == bindparam("person_id"),
        Assignment.closed_at.is_(None),
    )
    .correlate(Query)
    .exists()
)
_FREE = select(Query.id).where(
    Query.id == bindparam("query_id"),
    Query.state == QueryState.OPEN,
    Query.answers_wanted > _ANSWERS + _LEASES,
)
_CANDIDATE = (
    select(Query.id)
    .where(
        Query.run_id == bindparam("run_id"),
        Query.state == QueryState.OPEN,
        Query.id.not_in(bindparam("passed_over", expanding=True)),
        ~_HELD_BY_PERSON,
        ~_ANSWERED_BY_PERSON,
        Query.answers_wanted > _ANSWERS + _LEASES,
    )
    .order_by(Query.iteration.desc(), Query.priority.desc(), Query.id)
    .limit(1)
    .with_for_update(of=Query, skip_locked=True, key_share=True)
)


def has_free_slot(s: Session, *, query_id: int, now: datetime) -> bool:
    """Whether somebody more can be given a query."""
    return s.scalar(_FREE, {"query_id": query_id, "now": now}) is not None


def take_slot(
    s: Session,
    *,
    run_id: int,
    person_id: int,
    a_on_left: bool,
    now: datetime,
    expires_at: datetime,
) -> Assignment | None:
    """Lease the first query with a free slot to a person who neither holds nor has answered it.

    PostgreSQL looks for it in the state before it got the lock on it; only the second look, taken
    while the lock is held, sees what its last holder did.
    """
    passed_over: list[int] = []
    while (query_id := _candidate(s, run_id, person_id, now, passed_over)) is not None:
        if has_free_slot(s, query_id=query_id, now=now):
            assignment = Assignment(
                query_id=query_id,
                person_id=person_id,
                a_on_left=a_on_left,
                leased_at=now,
                expires_at=expires_at,
            )
            s.add(assignment)
            s.flush()
            return assignment
        passed_over.append(query_id)
    return None


def _candidate(
    s: Session, run_id: int, person_id: int, now: datetime, passed_over: Collection[int]
) -> int | None:
    return s.scalar(
        _CANDIDATE,
        {"run_id": run_id, "person_id": person_id, "now": now, "passed_over": passed_over},
    )

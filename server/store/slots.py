"""A query's slots: who may still be given it.

A query has `answers_wanted` slots. An ordinary answer that counts takes one, and so does an
ordinary assignment until it expires; gold, repeated and practice pairs take none. The statements
are built once, because every answer executes them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from server.models import (
    Assignment,
    Preference,
    Purpose,
    Query,
    QueryState,
    Teacher,
    UtcDateTime,
)
from server.store.preferences import effective

_ANSWERS = (
    select(func.count(Preference.id))
    .where(Preference.query_id == Query.id, Preference.purpose == Purpose.ORDINARY, effective())
    .correlate(Query)
    .scalar_subquery()
)
_LEASES = (
    select(func.count(Assignment.id))
    .where(
        Assignment.query_id == Query.id,
        Assignment.purpose == Purpose.ORDINARY,
        Assignment.closed_at.is_(None),
        Assignment.expires_at >= bindparam("now", type_=UtcDateTime()),
    )
    .correlate(Query)
    .scalar_subquery()
)
ANSWERED_BY_PERSON = (
    select(Preference.id)
    .where(
        Preference.query_id == Query.id,
        Preference.teacher_id
        == select(Teacher.id).where(Teacher.person_id == bindparam("person_id")).scalar_subquery(),
        effective(),
    )
    .correlate(Query)
    .exists()
)
HELD_BY_PERSON = (
    select(Assignment.id)
    .where(
        Assignment.query_id == Query.id,
        Assignment.person_id == bindparam("person_id"),
        Assignment.closed_at.is_(None),
    )
    .correlate(Query)
    .exists()
)
SKIPPED_BY_PERSON = (
    select(Assignment.id)
    .where(
        Assignment.query_id == Query.id,
        Assignment.person_id == bindparam("person_id"),
        Assignment.skipped,
    )
    .correlate(Query)
    .exists()
)
_ANY_LAPSED = (
    select(Assignment.id)
    .where(
        Assignment.query_id == Query.id,
        Assignment.purpose == Purpose.ORDINARY,
        Assignment.closed_at.is_(None),
        Assignment.expires_at < bindparam("now", type_=UtcDateTime()),
    )
    .correlate(Query)
    .exists()
)
_FREE = select(Query.answers_wanted - _ANSWERS - _LEASES, _ANY_LAPSED).where(
    Query.id == bindparam("query_id"), Query.state == QueryState.OPEN
)
_LAPSED = (  # whoever changes one of them without the query's lock closes it
    select(Assignment)
    .where(
        Assignment.query_id == bindparam("query_id"),
        Assignment.purpose == Purpose.ORDINARY,
        Assignment.closed_at.is_(None),
        Assignment.expires_at < bindparam("now", type_=UtcDateTime()),
    )
    .order_by(Assignment.expires_at.desc(), Assignment.id)
    .with_for_update(skip_locked=True)
)
_IN_HANDS = (  # read once; counted for each open query it would cost ten times as much
    select(Assignment.query_id, func.count().label("leases"))
    .where(
        Assignment.purpose == Purpose.ORDINARY,
        Assignment.closed_at.is_(None),
        Assignment.expires_at >= bindparam("now", type_=UtcDateTime()),
    )
    .group_by(Assignment.query_id)
    .subquery()
)
_CANDIDATE = (
    select(Query.id)
    .outerjoin(_IN_HANDS, _IN_HANDS.c.query_id == Query.id)
    .where(
        Query.run_id == bindparam("run_id"),
        Query.state == QueryState.OPEN,
        Query.gold.is_(None),
        Query.id.not_in(bindparam("passed_over", expanding=True)),
        ~HELD_BY_PERSON,
        ~ANSWERED_BY_PERSON,
        or_(~SKIPPED_BY_PERSON, bindparam("skipped_too")),
        Query.answers_wanted > func.coalesce(_IN_HANDS.c.leases, 0),
        Query.answers_wanted > _ANSWERS + func.coalesce(_IN_HANDS.c.leases, 0),
    )
    .order_by(SKIPPED_BY_PERSON, Query.iteration.desc(), Query.priority.desc(), Query.id)
    .limit(1)
    .with_for_update(of=Query, skip_locked=True, key_share=True)
)


@dataclass(frozen=True)
class Lease:
    """Who gets a pair of which run, and until when."""

    run_id: int
    person_id: int
    now: datetime
    expires_at: datetime

    @property
    def who(self) -> dict[str, int]:
        """As the statements name it."""
        return {"run_id": self.run_id, "person_id": self.person_id}


def has_free_slot(s: Session, *, query_id: int, now: datetime) -> bool:
    """Whether somebody more can be given a query."""
    return _free_slots(s, query_id, now)[0] > 0


def take_slot(
    s: Session, lease: Lease, *, a_on_left: bool, skipped_too: bool = False
) -> Assignment | None:
    """Lease the first query with a free slot to a person who neither holds nor has answered it.

    What they have skipped comes last if `skipped_too`, else never. PostgreSQL looks for a query in
    the state before it got the lock on it; only the second look, taken while the lock is held, sees
    what its last holder did.
    """
    passed_over: list[int] = []
    while (query_id := _candidate(s, lease, skipped_too, passed_over)) is not None:
        free, any_lapsed = _free_slots(s, query_id, lease.now)
        if free > 0:
            if any_lapsed:
                _end_lapsed(s, query_id, lease.now, room=free - 1)
            return assign(s, lease, query_id=query_id, a_on_left=a_on_left)
        passed_over.append(query_id)
    return None


def assign(
    s: Session,
    lease: Lease,
    *,
    query_id: int,
    a_on_left: bool,
    purpose: Purpose = Purpose.ORDINARY,
) -> Assignment:
    """Give a query to a person."""
    assignment = Assignment(
        query_id=query_id,
        person_id=lease.person_id,
        purpose=purpose,
        a_on_left=a_on_left,
        leased_at=lease.now,
        expires_at=lease.expires_at,
    )
    s.add(assignment)
    s.flush()
    return assignment


def _free_slots(s: Session, query_id: int, now: datetime) -> tuple[int, bool]:
    """How many, and whether there are leases that expired and are not closed."""
    found = s.execute(_FREE, {"query_id": query_id, "now": now}).one_or_none()
    return (0, False) if found is None else (found[0], found[1])


def _end_lapsed(s: Session, query_id: int, now: datetime, *, room: int) -> None:
    """Close expired leases but `room` of them: a clock set back must not bring them to life."""
    for lapsed in s.scalars(_LAPSED, {"query_id": query_id, "now": now}).all()[room:]:
        lapsed.closed_at = now


def _candidate(
    s: Session, lease: Lease, skipped_too: bool, passed_over: Collection[int]
) -> int | None:
    return s.scalar(
        _CANDIDATE,
        {
            **lease.who,
            "skipped_too": skipped_too,
            "now": lease.now,
            "passed_over": passed_over,
        },
    )

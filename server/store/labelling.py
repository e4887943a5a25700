"""What the labelling page reads besides assignments: clips, earlier answers, when pairs come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, case, func, select
from sqlalchemy.orm import Session, aliased

from server.errors import Forbidden, NotFound
from server.models import Answer, Assignment, Preference, Purpose, Query, Segment, Teacher
from server.store.preferences import effective

_SHOWN = (
    select(Assignment.person_id, Segment.id, Segment.clip, Segment.agent_clip)
    .join(Query, Query.id == Assignment.query_id)
    .join(
        Segment,
        Segment.id
        == case(
            (Assignment.a_on_left == bindparam("left"), Query.segment_a_id),
            else_=Query.segment_b_id,
        ),
    )
    .where(Assignment.id == bindparam("assignment_id"))
)
_WITHDRAWAL = aliased(Preference)
_TAKEN_BACK = (
    select(Preference)
    .join(_WITHDRAWAL, _WITHDRAWAL.replaces_id == Preference.id)
    .where(
        Preference.assignment_id.in_(bindparam("ids", expanding=True)),
        _WITHDRAWAL.answer == Answer.WITHDRAWN,
    )
    .order_by(Preference.id)
)


@dataclass(frozen=True)
class ShownClip:
    """A clip as one person sees it.

    Attributes:
        artifact: the MP4; None while it is not made.
        agent: the same in the agent's view; empty if the agent sees no pictures.
    """

    segment_id: int
    artifact: str | None
    agent: str | None


def shown_clip(
    s: Session | Connection, *, assignment_id: int, person_id: int, side: Literal["left", "right"]
) -> ShownClip:
    """The clip on one side of a person's pair, open or answered.

    Raises:
        NotFound, Forbidden: no such assignment, or somebody else's.
    """
    row = s.execute(_SHOWN, {"assignment_id": assignment_id, "left": side == "left"}).one_or_none()
    if row is None:
        raise NotFound(f"no assignment {assignment_id}")
    owner, segment_id, clip, agent = row
    if owner != person_id:
        raise Forbidden("this pair was given to somebody else")
    return ShownClip(segment_id, clip, agent)


def taken_back(s: Session, *, assignment_ids: Sequence[int]) -> dict[int, Preference]:
    """The newest answer that was taken back, for each of the assignments that has one."""
    rows = s.scalars(_TAKEN_BACK, {"ids": assignment_ids})
    return {row.assignment_id: row for row in rows if row.assignment_id is not None}


def own_answers(
    s: Session, *, run_id: int, person_id: int, limit: int, before: int | None = None
) -> Sequence[Preference]:
    """A person's answers in a run that count, newest first; practice is over when it is judged."""
    older = [] if before is None else [Preference.id < before]
    return s.scalars(
        select(Preference)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(
            Preference.run_id == run_id,
            Teacher.person_id == person_id,
            Preference.purpose != Purpose.PRACTICE,
            effective(),
            *older,
        )
        .order_by(Preference.id.desc())
        .limit(limit)
    ).all()


def next_asked_in(s: Session, *, run_id: int, now: datetime) -> float | None:
    """Seconds until the next pairs are asked if it takes as long as the last time.

    0 when they are overdue; None before pairs have been asked twice.
    """
    asked = s.scalars(
        select(func.min(Query.created_at))
        .where(Query.run_id == run_id)
        .group_by(Query.iteration)
        .order_by(Query.iteration.desc())
        .limit(2)
    ).all()
    if len(asked) < 2:
        return None
    newest, before = asked
    return max(0.0, (newest + (newest - before) - now).total_seconds())

"""Queries: asked by a learner, answered by teachers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from server.errors import Invalid
from server.models import Answer, Assignment, Preference, Query, QueryState, Segment
from server.rules import Rules
from server.store.preferences import given

_ANSWERED = (
    select(Preference.query_id, func.count().label("answers"))
    .where(Preference.run_id == bindparam("run_id"), given())
    .group_by(Preference.query_id)
    .subquery()
)
_BEGUN = (
    select(func.count(), func.sum(Query.answers_wanted - _ANSWERED.c.answers))
    .join(_ANSWERED, _ANSWERED.c.query_id == Query.id)
    .where(Query.state == QueryState.OPEN, Query.gold.is_(None))
)


@dataclass(frozen=True)
class QueueCounts:
    """A run's queries by where they stand; those of trials are not counted.

    Attributes:
        pending: waiting for clips.
        open: ready for people, those that somebody holds right now among them.
        begun: of the open ones, those that have an answer and want more.
        owed: answers that those still want.
        leased: assignments held right now.
        answered: with as many answers as wanted.
        set_aside: their clips are gone or cannot be made, or they were skipped for good.
        labels: preferences that count and were given by somebody, by answer.
    """

    pending: int
    open: int
    begun: int
    owed: int
    leased: int
    answered: int
    set_aside: int
    labels: dict[Answer, int]

    @property
    def total_labels(self) -> int:
        """All preferences that count, but those of demonstrations, which cost nobody anything."""
        return sum(self.labels.values())

    @property
    def decided_labels(self) -> int:
        """Of these, preferences for one of the two clips."""
        return self.labels.get(Answer.A, 0) + self.labels.get(Answer.B, 0)


def add_query(
    s: Session,
    *,
    run_id: int,
    segment_a_id: int,
    segment_b_id: int,
    iteration: int,
    priority: float = 0.0,
    answers_wanted: int = 1,
    answers_limit: int = 1,
    selection: dict[str, Any] | None = None,
    trial_id: int | None = None,
    now: datetime,
) -> Query:
    """Ask which of two segments is better; open at once if both clips are there.

    Raises:
        Invalid: a segment is not of this run, or both are the same.
    """
    clips = dict(
        s.execute(
            select(Segment.id, Segment.clip).where(
                Segment.id.in_((segment_a_id, segment_b_id)), Segment.run_id == run_id
            )
        ).all()
    )
    if len(clips) != 2:
        raise Invalid("a query needs two different segments of its run")
    query = Query(
        run_id=run_id,
        segment_a_id=segment_a_id,
        segment_b_id=segment_b_id,
        state=_first_state(shown=None not in clips.values(), trial=trial_id is not None),
        iteration=iteration,
        priority=priority,
        answers_wanted=answers_wanted,
        answers_limit=max(answers_wanted, answers_limit),
        trial_id=trial_id,
        selection=selection or {},
        created_at=now,
    )
    s.add(query)
    s.flush()
    return query


def _first_state(*, shown: bool, trial: bool) -> QueryState:
    if not shown:
        return QueryState.PENDING
    return QueryState.CLOSED if trial else QueryState.OPEN


def share_out(query: Query, rules: Rules) -> None:
    """Put a new query to several people if it falls in the share that the rules want.

    Which ones do is drawn from their ids, so that a repeated iteration draws the same.
    """
    if random.Random(query.id).random() < rules.overlap:
        query.answers_wanted = rules.answers
        query.answers_limit = rules.answers + int(rules.third_opinion)


def counts(s: Session, *, run_id: int, now: datetime) -> QueueCounts:
    """How a run's queue stands."""
    states = dict(
        s.execute(
            select(Query.state, func.count())
            .where(Query.run_id == run_id, Query.trial_id.is_(None))
            .group_by(Query.state)
        ).all()
    )
    leased = s.scalar(
        select(func.count())
        .select_from(Assignment)
        .join(Query, Query.id == Assignment.query_id)
        .where(
            Query.run_id == run_id,
            Query.state == QueryState.OPEN,
            Assignment.closed_at.is_(None),
            Assignment.expires_at >= now,
        )
    )
    begun, owed = s.execute(_BEGUN, {"run_id": run_id}).one()
    labels = s.execute(
        select(Preference.answer, func.count())
        .where(Preference.run_id == run_id, given())
        .group_by(Preference.answer)
    ).all()
    return QueueCounts(
        pending=states.get(QueryState.PENDING, 0),
        open=states.get(QueryState.OPEN, 0),
        begun=begun,
        owed=owed or 0,
        leased=leased or 0,
        answered=states.get(QueryState.CLOSED, 0),
        set_aside=states.get(QueryState.SET_ASIDE, 0),
        labels=dict(labels),
    )

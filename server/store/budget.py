"""The label budget: no more pairs are given out than labels are wanted."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from server.models import Assignment, Purpose, Query, Run, UtcDateTime
from server.store.labels import count_labels
from server.store.locks import lock_answers

_NEAR = 200
"""Labels from the end of the budget; further away it cannot be overdrawn by anybody."""

_LEASED = (
    select(func.count())
    .select_from(Assignment)
    .join(Query, Query.id == Assignment.query_id)
    .where(
        Query.run_id == bindparam("run_id"),
        Assignment.purpose == Purpose.ORDINARY,
        Assignment.closed_at.is_(None),
        Assignment.expires_at >= bindparam("now", type_=UtcDateTime()),
    )
)


def pairs_left(s: Session, *, run: Run, now: datetime) -> int:
    """How many pairs may still be given out: the budget less labels and pairs in people's hands.

    Near the end of the budget this makes others who ask wait until the transaction ends.
    """
    left = run.label_budget - count_labels(s, run_id=run.id)
    if left > _NEAR:
        return left
    lock_answers(s, run.id)
    labels = count_labels(s, run_id=run.id)
    leased = s.scalar(_LEASED, {"run_id": run.id, "now": now}) or 0
    return max(0, run.label_budget - labels - leased)

"""What a person has done in a run."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from server.models import Preference, Purpose, Run, Teacher, UtcDateTime
from server.store.labels import count_labels
from server.store.preferences import effective

_OWN = (
    Preference.run_id == bindparam("run_id"),
    Preference.teacher_id
    == select(Teacher.id).where(Teacher.person_id == bindparam("person_id")).scalar_subquery(),
    Preference.purpose != Purpose.PRACTICE,
    effective(),
)
_BUDGET = select(Run.label_budget).where(Run.id == bindparam("run_id")).scalar_subquery()
_COUNTS = select(
    func.count(),
    func.count().filter(Preference.created_at >= bindparam("midnight", type_=UtcDateTime())),
    _BUDGET,
).where(*_OWN)
_SECONDS = (
    select(Preference.seconds)
    .where(*_OWN, Preference.seconds.is_not(None))
    .order_by(Preference.id.desc())
    .limit(100)
)


@dataclass(frozen=True)
class Progress:
    """What one person has done in a run; withdrawn and practice answers do not count.

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


def progress(s: Session, *, run_id: int, person_id: int, now: datetime) -> Progress:
    """What a person has done in a run, and what the run still wants."""
    who = {"run_id": run_id, "person_id": person_id}
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    total, today, budget = s.execute(_COUNTS, {**who, "midnight": midnight}).one()
    seconds = [value for value in s.scalars(_SECONDS, who) if value is not None]
    return Progress(
        today=today,
        total=total,
        median_seconds=statistics.median(seconds) if seconds else None,
        left=max(0, budget - count_labels(s, run_id=run_id)),
    )

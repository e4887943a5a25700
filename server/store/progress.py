"""What a person has done in a run."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from server.models import Preference, Purpose, Query, Run, Teacher, UtcDateTime
from server.rules import rules_of
from server.store.labels import Counted, count_answers
from server.store.preferences import effective
from server.store.trials import waiting

_OWN = (
    Preference.run_id == bindparam("run_id"),
    Preference.teacher_id
    == select(Teacher.id).where(Teacher.person_id == bindparam("person_id")).scalar_subquery(),
    Preference.purpose != Purpose.PRACTICE,
    effective(),
)
_COUNTS = select(
    func.count(),
    func.count().filter(Preference.created_at >= bindparam("midnight", type_=UtcDateTime())),
).where(*_OWN)
_GOLD = (
    select(Query.id).where(Query.run_id == bindparam("run_id"), Query.gold.is_not(None)).limit(1)
)
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
        answers_left: the same with the checks that come among them, as people are told: one less
            with every answer, so that none shows what it was to.
    """

    today: int
    total: int
    median_seconds: float | None
    left: int
    answers_left: int


def progress(s: Session, *, run_id: int, person_id: int, now: datetime) -> Progress:
    """What a person has done in a run, and what the run still wants."""
    who = {"run_id": run_id, "person_id": person_id}
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    run = s.get_one(Run, run_id)
    total, today = s.execute(_COUNTS, {**who, "midnight": midnight}).one()
    counted = count_answers(s, run_id=run_id)
    seconds = [value for value in s.scalars(_SECONDS, who) if value is not None]
    return Progress(
        today=today,
        total=total,
        median_seconds=statistics.median(seconds) if seconds else None,
        left=max(0, run.label_budget - counted.labels),
        answers_left=_answers_left(s, run, counted),
    )


def answers_left(s: Session, *, run: Run) -> int:
    """How many more answers a run wants, about: those that are no labels are counted as well."""
    return _answers_left(s, run, count_answers(s, run_id=run.id))


def _answers_left(s: Session, run: Run, counted: Counted) -> int:
    if counted.labels >= run.label_budget:
        return 0
    rules = rules_of(run.config)
    gold_share = rules.gold_share if s.scalar(_GOLD, {"run_id": run.id}) else 0.0
    trial_share = rules.trial_share if waiting(s, run_id=run.id) else 0.0
    others = gold_share + rules.repeat_share + trial_share
    expected = math.ceil(run.label_budget / (1.0 - others))
    return max(
        1, expected - counted.labels - counted.checks
    )  # checks came more often than expected

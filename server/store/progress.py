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
from server.store.trials import WAITING

_OWN = (
    Preference.run_id == bindparam("run_id"),
    Preference.teacher_id
    == select(Teacher.id).where(Teacher.person_id == bindparam("person_id")).scalar_subquery(),
    Preference.purpose != Purpose.PRACTICE,
    effective(),
)
_CHECKS = (  # whether there are any: gold pairs, pairs of a trial
    select(Query.id)
    .where(Query.run_id == bindparam("run_id"), Query.gold.is_not(None))
    .exists()
    .label("gold"),
    WAITING.order_by(None).exists().label("trial"),
)
_COUNTS = select(
    func.count().label("total"),
    func.count()
    .filter(Preference.created_at >= bindparam("midnight", type_=UtcDateTime()))
    .label("today"),
    func.max(Preference.id).label("newest"),
    *_CHECKS,
).where(*_OWN)
_ANY_CHECKS = select(*_CHECKS)
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
        newest: id of the last answer, which an undo takes back; None before the first.
    """

    today: int
    total: int
    median_seconds: float | None
    left: int
    answers_left: int
    newest: int | None


def progress(s: Session, *, run_id: int, person_id: int, now: datetime) -> Progress:
    """What a person has done in a run, and what the run still wants."""
    who = {"run_id": run_id, "person_id": person_id}
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    run = s.get_one(Run, run_id)
    own = s.execute(_COUNTS, {**who, "midnight": midnight}).one()
    counted = count_answers(s, run_id=run_id)
    seconds = [value for value in s.scalars(_SECONDS, who) if value is not None]
    return Progress(
        today=own.today,
        total=own.total,
        median_seconds=statistics.median(seconds) if seconds else None,
        left=max(0, run.label_budget - counted.labels),
        answers_left=_answers_left(run, counted, gold=own.gold, trial=own.trial),
        newest=own.newest,
    )


def answers_left(s: Session, *, run: Run) -> int:
    """How many more answers a run wants, about: those that are no labels are counted as well."""
    gold, trial = s.execute(_ANY_CHECKS, {"run_id": run.id}).one()
    return _answers_left(run, count_answers(s, run_id=run.id), gold=gold, trial=trial)


def _answers_left(run: Run, counted: Counted, *, gold: bool, trial: bool) -> int:
    if counted.labels >= run.label_budget:
        return 0
    rules = rules_of(run.config)
    gold_share = rules.gold_share if gold else 0.0
    trial_share = rules.trial_share if trial else 0.0
    others = gold_share + rules.repeat_share + trial_share
    expected = math.ceil(run.label_budget / (1.0 - others))
    return max(
        1, expected - counted.labels - counted.checks
    )  # checks came more often than expected

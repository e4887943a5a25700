"""How many labels a run has: asked with every pair, so counted from where the last count ended.

Rows are only ever added, so each contributes a fixed amount: one for an answer, one less for what
it replaces. Ids become visible in their order (`locks.lock_answers`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from weakref import WeakKeyDictionary

from sqlalchemy import bindparam, case, func, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from server.labellers import Exclusion
from server.models import Answer, Preference, Purpose
from server.store.labellers import excluded_pairs, excluded_teachers
from server.store.preferences import FOLLOWING

_FRESH = 200
"""So many of the newest ids at least are counted again each time: they may be rolled back."""

_WORTH = case((Preference.answer != Answer.WITHDRAWN, 1), else_=0) - case(
    (Preference.replaces_id.is_not(None), 1), else_=0
)
_LABELS = func.sum(case((Preference.purpose == Purpose.ORDINARY, _WORTH), else_=0))
_NO_LABELS = (Purpose.GOLD, Purpose.REPEAT, Purpose.TRIAL)
_CHECKS = func.sum(case((Preference.purpose.in_(_NO_LABELS), _WORTH), else_=0))
_COUNTS = select(func.coalesce(_LABELS, 0), func.coalesce(_CHECKS, 0)).where(
    Preference.run_id == bindparam("run_id"), Preference.teacher_id.not_in(FOLLOWING)
)
_BETWEEN = _COUNTS.where(Preference.id > bindparam("after"), Preference.id <= bindparam("until"))
_EXCLUDED = _COUNTS.where(Preference.teacher_id.in_(bindparam("teachers", expanding=True)))
_NEWEST = (
    select(func.coalesce(func.max(Preference.id), 0))
    .where(Preference.run_id == bindparam("run_id"))
    .correlate(None)
    .scalar_subquery()
)
_ANY_EXCLUDED = excluded_pairs().where(Exclusion.run_id == bindparam("run_id")).exists()
_SINCE = _COUNTS.where(Preference.id > bindparam("after")).add_columns(_NEWEST, _ANY_EXCLUDED)


_LABELS_BY_ID = (
    select(Preference.id, _WORTH)
    .where(
        Preference.run_id == bindparam("run_id"),
        Preference.purpose == Purpose.ORDINARY,
        Preference.teacher_id.not_in(FOLLOWING),
        Preference.teacher_id.not_in(bindparam("excluded", expanding=True)),
    )
    .order_by(Preference.id)
)


@dataclass(frozen=True)
class Counted:
    """Answers that count and were given by somebody.

    Attributes:
        labels: to learn from.
        checks: to gold and repeated pairs.
    """

    labels: int = 0
    checks: int = 0

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.labels + other.labels, self.checks + other.checks)


_COUNTED: WeakKeyDictionary[Pool, dict[int, tuple[int, Counted]]] = WeakKeyDictionary()
"""Per database and run: an id, and the answers up to it."""


def count_labels(s: Session, *, run_id: int) -> int:
    """A run's labels: answers that count and were given by somebody to learn from them."""
    return count_answers(s, run_id=run_id).labels


def count_answers(s: Session, *, run_id: int) -> Counted:
    """A run's labels, and the answers to checks beside them."""
    kept = _COUNTED.setdefault(s.connection().engine.pool, {})
    after, counted = kept.get(run_id, (0, Counted()))
    labels, checks, newest, any_excluded = s.execute(
        _SINCE, {"run_id": run_id, "after": after}
    ).one()
    settled = newest - _FRESH
    if settled - after > _FRESH:
        kept[run_id] = settled, counted + _between(s, run_id, after, settled)
    counted += Counted(labels, checks)
    if any_excluded:  # nobody, nearly always; and whoever is excluded can be included again
        excluded = list(excluded_teachers(s, run_id=run_id))
        labels, checks = s.execute(_EXCLUDED, {"run_id": run_id, "teachers": excluded}).one()
        counted += Counted(-labels, -checks)
    return counted


def labels_until(s: Session, *, run_id: int, ids: Sequence[int]) -> list[int]:
    """How many labels a run had when each of these answers was its newest.

    Answers of people who are excluded now are not counted.

    Args:
        s: the session.
        run_id: the run.
        ids: of answers.
    """
    excluded = list(excluded_teachers(s, run_id=run_id))
    rows = s.execute(_LABELS_BY_ID, {"run_id": run_id, "excluded": excluded}).all()
    known = [row_id for row_id, _ in rows]
    counted = [0, *accumulate(worth for _, worth in rows)]
    return [counted[bisect_right(known, one)] for one in ids]


def _between(s: Session, run_id: int, after: int, until: int) -> Counted:
    return Counted(*s.execute(_BETWEEN, {"run_id": run_id, "after": after, "until": until}).one())

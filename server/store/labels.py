"""How many labels a run has: asked with every pair, so counted from where the last count ended.

Rows are only ever added, so each contributes a fixed amount: one for an answer, one less for what
it replaces. Ids become visible in their order (`locks.lock_answers`).
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from sqlalchemy import bindparam, case, func, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from server.models import Answer, Preference, Purpose
from server.store.labellers import excluded_teachers
from server.store.preferences import FOLLOWING

_FRESH = 200
"""So many of the newest ids are counted again each time: they may be rolled back."""

_WORTH = func.sum(
    case((Preference.answer != Answer.WITHDRAWN, 1), else_=0)
    - case((Preference.replaces_id.is_not(None), 1), else_=0)
)
_BETWEEN = select(func.coalesce(_WORTH, 0)).where(
    Preference.run_id == bindparam("run_id"),
    Preference.id > bindparam("after"),
    Preference.id <= bindparam("until"),
    Preference.purpose == Purpose.ORDINARY,
    Preference.teacher_id.not_in(FOLLOWING),
)
_EXCLUDED = select(func.coalesce(_WORTH, 0)).where(
    Preference.run_id == bindparam("run_id"),
    Preference.teacher_id.in_(bindparam("teachers", expanding=True)),
    Preference.purpose == Purpose.ORDINARY,
    Preference.teacher_id.not_in(FOLLOWING),
)
_NEWEST = select(func.coalesce(func.max(Preference.id), 0)).where(
    Preference.run_id == bindparam("run_id")
)
_COUNTED: WeakKeyDictionary[Pool, dict[int, tuple[int, int]]] = WeakKeyDictionary()
"""Per database and run: an id, and the labels up to it."""


def count_labels(s: Session, *, run_id: int) -> int:
    """A run's labels: answers that count and were given by somebody to learn from them."""
    counted = _COUNTED.setdefault(s.connection().engine.pool, {})
    after, labels = counted.get(run_id, (0, 0))
    newest = s.scalar(_NEWEST, {"run_id": run_id}) or 0
    settled = newest - _FRESH
    if settled > after:
        labels += s.scalar(_BETWEEN, {"run_id": run_id, "after": after, "until": settled}) or 0
        after = settled
        counted[run_id] = after, labels
    labels += s.scalar(_BETWEEN, {"run_id": run_id, "after": after, "until": newest}) or 0
    # Nobody, nearly always; and whoever is excluded can be included again.
    if excluded := list(excluded_teachers(s, run_id=run_id)):
        labels -= s.scalar(_EXCLUDED, {"run_id": run_id, "teachers": excluded}) or 0
    return labels

"""How people stand as labellers of a run: whose answers do not count, and how far to trust them.

Exclusions are rows that are only ever added; the newest one of a teacher holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session, aliased

from server.labellers import Exclusion, Reliability
from server.models import Teacher, TeacherKind
from server.store.locks import lock_answers
from server.store.people import teacher_for_person

_LATER = aliased(Exclusion)
_HOLDS = (
    Exclusion.excluded,
    ~select(_LATER.id)
    .where(
        _LATER.run_id == Exclusion.run_id,
        _LATER.teacher_id == Exclusion.teacher_id,
        _LATER.id > Exclusion.id,
    )
    .correlate(Exclusion)
    .exists(),
)


def exclude(
    s: Session, *, run_id: int, person_id: int, excluded: bool, by_id: int | None, now: datetime
) -> bool:
    """Leave a person's answers out of a run, or take them in again; False if it was so already.

    Raises:
        NotFound: no such person.
    """
    teacher = teacher_for_person(s, person_id=person_id)
    lock_answers(s, run_id)
    if (teacher.id in excluded_teachers(s, run_id=run_id)) == excluded:
        return False
    s.add(
        Exclusion(
            run_id=run_id, teacher_id=teacher.id, excluded=excluded, by_id=by_id, created_at=now
        )
    )
    s.flush()
    return True


def excluded_teachers(s: Session, *, run_id: int) -> dict[int, datetime]:
    """Teachers whose answers do not count in a run now, and since when."""
    rows = s.execute(
        select(Exclusion.teacher_id, Exclusion.created_at).where(
            Exclusion.run_id == run_id, *_HOLDS
        )
    )
    return dict(rows.all())


def exclusions_after(s: Session, *, run_id: int, after_id: int) -> Sequence[tuple[int, int, bool]]:
    """Decisions with a higher id, in their order: id, teacher, whether excluded."""
    rows = s.execute(
        select(Exclusion.id, Exclusion.teacher_id, Exclusion.excluded)
        .where(Exclusion.run_id == run_id, Exclusion.id > after_id)
        .order_by(Exclusion.id)
    )
    return rows.all()


def excluded_pairs() -> Select[int, int]:
    """(run, teacher) of everybody whose answers do not count: few rows, looked up once."""
    return select(Exclusion.run_id, Exclusion.teacher_id).where(*_HOLDS)


class Trust(Protocol):
    """Estimated shares of right answers of one teacher, and the answers that they rest on."""

    @property
    def one_coin(self) -> float | None:
        """By pairs that others answered too."""

    @property
    def crowd_bt(self) -> float | None:
        """By segments that others compared too."""

    @property
    def learned(self) -> float | None:
        """By the reward model."""

    @property
    def answers(self) -> int:
        """Decided answers."""


def store_reliabilities(
    s: Session, *, run_id: int, found: Mapping[int, Trust], now: datetime
) -> None:
    """Replace a run's estimates, by teacher; those of teachers that are no people are left out."""
    people = s.scalars(
        select(Teacher.id).where(Teacher.id.in_(found), Teacher.kind == TeacherKind.PERSON)
    ).all()
    s.execute(delete(Reliability).where(Reliability.run_id == run_id))
    for teacher_id in people:
        trust = found[teacher_id]
        s.add(
            Reliability(
                run_id=run_id,
                teacher_id=teacher_id,
                one_coin=trust.one_coin,
                crowd_bt=trust.crowd_bt,
                learned=trust.learned,
                answers=trust.answers,
                created_at=now,
            )
        )
    s.flush()


def reliabilities(s: Session, *, run_id: int) -> dict[int, Reliability]:
    """A run's newest estimates, by teacher."""
    rows = s.scalars(select(Reliability).where(Reliability.run_id == run_id))
    return {row.teacher_id: row for row in rows}

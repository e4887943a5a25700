"""All answers of people to a run's pairs, as judgements of those people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.models import Answer, Person, Preference, Purpose, Query, Run, Teacher
from server.store.preferences import effective


@dataclass(frozen=True)
class Judgement:
    """One answer that counts, with what it is judged by.

    Attributes:
        teacher_id: who gave it.
        gold: the pair's known answer, if any.
    """

    teacher_id: int
    query_id: int
    purpose: Purpose
    answer: Answer
    a_on_left: bool | None
    seconds: float | None
    gold: Answer | None
    created_at: datetime


def judgements(s: Session, *, run_id: int) -> list[Judgement]:
    """People's answers in a run, oldest first; practice is over when it is judged."""
    rows = s.execute(
        select(
            Preference.teacher_id,
            Preference.query_id,
            Preference.purpose,
            Preference.answer,
            Preference.a_on_left,
            Preference.seconds,
            Query.gold,
            Preference.created_at,
        )
        .join(Query, Query.id == Preference.query_id)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(
            Preference.run_id == run_id,
            Preference.purpose != Purpose.PRACTICE,
            Teacher.person_id.is_not(None),
            effective(),
        )
        .order_by(Preference.id)
    )
    return [Judgement(*row) for row in rows]


def people_of(s: Session, *, run_id: int) -> dict[int, Person]:
    """Everybody who has ever answered in a run, by the teacher that stands for them."""
    answered = select(Preference.teacher_id).where(Preference.run_id == run_id)
    rows = s.execute(
        select(Teacher.id, Person)
        .join(Person, Person.id == Teacher.person_id)
        .where(Teacher.id.in_(answered))
        .order_by(Person.name)
    )
    return {teacher: person for teacher, person in rows}


def labelled_runs(s: Session) -> list[str]:
    """Names of the runs that people have answered in; the newest run first."""
    answered = (
        select(Preference.run_id)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(Teacher.person_id.is_not(None))
    )
    names = s.scalars(select(Run.name).where(Run.id.in_(answered)).order_by(Run.id.desc()))
    return list(names)

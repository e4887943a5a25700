"""People and the teachers that stand for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.errors import NotFound
from server.models import Person, Teacher, TeacherKind

LOCAL = "local"

_OF_PERSON = select(Teacher).where(Teacher.person_id == bindparam("person_id"))


def local_person(s: Session, *, now: datetime) -> Person:
    """The one user of local mode, made when first asked for."""
    query = select(Person).where(Person.name == LOCAL)
    person = s.scalar(query)
    if person is None:
        person = Person(name=LOCAL, created_at=now)
        if not _added(s, person):
            return s.scalars(query).one()
    return person


def teacher_for_person(s: Session, *, person_id: int) -> Teacher:
    """The teacher whose answers are this person's.

    Raises:
        NotFound: no such person.
    """
    teacher = s.scalar(_OF_PERSON, {"person_id": person_id})
    if teacher is None:
        person = s.get(Person, person_id)
        if person is None:
            raise NotFound(f"no person {person_id}")
        teacher = Teacher(
            kind=TeacherKind.PERSON, name=person.name, person_id=person_id, settings={}
        )
        if not _added(s, teacher):
            return s.scalars(_OF_PERSON, {"person_id": person_id}).one()
    return teacher


def synthetic_teacher(s: Session, *, run_id: int, name: str, settings: dict[str, Any]) -> Teacher:
    """A run's synthetic teacher of that name, made when first asked for."""
    return _of_run(s, TeacherKind.SYNTHETIC, run_id, name, settings)


def demonstration_teacher(s: Session, *, run_id: int, settings: dict[str, Any]) -> Teacher:
    """Whoever prefers a run's demonstrations to what its agent does; made when first asked for."""
    return _of_run(s, TeacherKind.DEMONSTRATION, run_id, "demonstrations", settings)


def answering_teacher(
    s: Session,
    run_id: int,
    kind: Literal["synthetic", "demonstration", "ranking"],
    settings: dict[str, Any],
) -> Teacher:
    """The teacher of a run whose answers come with its queries."""
    if kind == "ranking":
        return _of_run(s, TeacherKind.RANKING, run_id, "ranking", settings)
    if kind == "demonstration":
        return demonstration_teacher(s, run_id=run_id, settings=settings)
    return synthetic_teacher(s, run_id=run_id, name="synthetic", settings=settings)


def _of_run(
    s: Session, kind: TeacherKind, run_id: int, name: str, settings: dict[str, Any]
) -> Teacher:
    teacher = s.scalar(
        select(Teacher).where(
            Teacher.run_id == run_id,
            Teacher.kind == kind,
            Teacher.name == name,
        )
    )
    if teacher is None:
        teacher = Teacher(kind=kind, name=name, run_id=run_id, settings=settings)
        s.add(teacher)
        s.flush()
    return teacher


def _added(s: Session, row: Person | Teacher) -> bool:
    """Insert `row`, or say that another transaction was first."""
    try:
        with s.begin_nested():
            s.add(row)
    except IntegrityError:
        return False
    return True

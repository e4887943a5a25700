"""Row and run locks on PostgreSQL; SQLite's writers queue at BEGIN IMMEDIATE and need none.

Order, so that nothing can wait in a circle: run, then person, then queries, then the order of ids.
"""

from __future__ import annotations

from sqlalchemy import Integer, bindparam, func, select
from sqlalchemy.orm import Session

from server.models import Person

_ANSWERS = 41_072  # any number: these locks are ours among the database's advisory locks
_LOGINS = 41_073
_ADMINS = 41_074
_ORDER = 41_075

_RUN = bindparam("run_id", type_=Integer)
_LOCK_ANSWERS = select(func.pg_advisory_xact_lock(_ANSWERS, _RUN))
_ENTER_ANSWERS = select(func.pg_advisory_xact_lock_shared(_ANSWERS, _RUN))
_LOCK_ORDER = select(func.pg_advisory_xact_lock(_ORDER, _RUN))
_LOCK_PERSON = (
    select(Person.id).where(Person.id == bindparam("person_id")).with_for_update(key_share=True)
)


def lock_answers(s: Session, run_id: int) -> None:
    """Let one transaction at a time change a run's answers.

    Without it a preference with a lower id could become visible after one with a higher id, and
    a reader that goes on after the last id it saw would miss it.
    """
    if s.get_bind().dialect.name == "postgresql":
        s.execute(_LOCK_ANSWERS, {"run_id": run_id})


def enter_answers(s: Session, run_id: int) -> None:
    """Change what one person was given, beside others who do; `lock_answers` lets nobody beside it.

    Whoever adds a preference under it calls `lock_order` first.
    """
    if s.get_bind().dialect.name == "postgresql":
        s.execute(_ENTER_ANSWERS, {"run_id": run_id})


def lock_order(s: Session, run_id: int) -> None:
    """Let the ids of a run's preferences become visible in their order, as `lock_answers` does.

    Others wait from here until the commit, so little work may follow, and no lock but of rows that
    are the answering person's own.
    """
    if s.get_bind().dialect.name == "postgresql":
        s.execute(_LOCK_ORDER, {"run_id": run_id})


def lock_person(s: Session, person_id: int) -> None:
    """Let one request at a time act for a person, so that two tabs cannot race."""
    if s.get_bind().dialect.name == "postgresql":
        s.execute(_LOCK_PERSON, {"person_id": person_id})


def lock_logins(s: Session) -> None:
    """Count one login after the other, so that many at once are counted as well."""
    _lock(s, _LOGINS)


def lock_admins(s: Session) -> None:
    """Change one admin after the other, so that two cannot take each other's role."""
    _lock(s, _ADMINS)


def _lock(s: Session, number: int) -> None:
    if s.get_bind().dialect.name == "postgresql":
        s.execute(select(func.pg_advisory_xact_lock(number)))

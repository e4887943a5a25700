"""Logins: begun, seen, ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.orm import Session

from server.credentials import LoginSession
from server.errors import NotFound
from server.models import Person

KEPT = timedelta(days=30)
"""How long an ended login is still to be found."""


@dataclass(frozen=True)
class LoggedIn:
    """Whose browser this is."""

    session: LoginSession
    person: Person


def begin(
    s: Session,
    *,
    person_id: int,
    fingerprint: str,
    browser: str,
    lasts: timedelta,
    now: datetime,
) -> LoginSession:
    """Log somebody in; forget logins that ended long ago."""
    s.execute(delete(LoginSession).where(LoginSession.expires_at < now - KEPT))
    session = LoginSession(
        person_id=person_id,
        fingerprint=fingerprint,
        browser=browser,
        created_at=now,
        seen_at=now,
        expires_at=now + lasts,
    )
    s.add(session)
    s.flush()
    return session


def find(s: Session, *, fingerprint: str, idle: timedelta, now: datetime) -> LoggedIn | None:
    """Whoever is logged in with this key: not ended, not idle for too long, still welcome."""
    row = s.execute(
        select(LoginSession, Person)
        .join(Person, Person.id == LoginSession.person_id)
        .where(LoginSession.fingerprint == fingerprint, Person.active, _live(idle, now))
    ).one_or_none()
    return LoggedIn(*row) if row else None


def touch(s: Session, *, session_id: int, now: datetime) -> None:
    """Note that it is used."""
    s.execute(update(LoginSession).where(LoginSession.id == session_id).values(seen_at=now))


def list_live(
    s: Session, *, person_id: int, idle: timedelta, now: datetime
) -> Sequence[LoginSession]:
    """Where somebody is logged in, last used first."""
    return s.scalars(
        select(LoginSession)
        .where(LoginSession.person_id == person_id, _live(idle, now))
        .order_by(LoginSession.seen_at.desc(), LoginSession.id.desc())
    ).all()


def end(s: Session, *, session_id: int, person_id: int, now: datetime) -> LoginSession:
    """Log one of a person's browsers out; harmless when it is.

    Raises:
        NotFound: no such login of theirs.
    """
    session = s.get(LoginSession, session_id)
    if session is None or session.person_id != person_id:
        raise NotFound(f"no login {session_id}")
    session.revoked_at = session.revoked_at or now
    return session


def end_all(s: Session, *, person_id: int, now: datetime) -> None:
    """Log a person out everywhere."""
    s.execute(
        update(LoginSession)
        .where(LoginSession.person_id == person_id, LoginSession.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def end_by_key(s: Session, *, fingerprint: str, now: datetime) -> LoginSession | None:
    """Log out whichever browser shows this key, if any; its login, if it was one until now."""
    return s.scalars(
        update(LoginSession)
        .where(LoginSession.fingerprint == fingerprint, LoginSession.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(LoginSession)
    ).one_or_none()


def _live(idle: timedelta, now: datetime) -> ColumnElement[bool]:
    return and_(
        LoginSession.revoked_at.is_(None),
        LoginSession.expires_at > now,
        LoginSession.seen_at > now - idle,
    )

"""Wrong passwords, counted in the database so that all server processes count together."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from server.credentials import LoginFailure
from server.errors import TooMany
from server.store.locks import lock_logins

WINDOW = timedelta(minutes=15)

# From one address a name is tried a few times only. A name alone bears more, so that a stranger
# can't easily keep its owner out; an address too, for a team comes from behind one.
MOST_OF_NAME_AND_ADDRESS = 6
MOST_OF_NAME = 60
MOST_OF_ADDRESS = 60


def attempt(s: Session, *, name: str, address: str, now: datetime) -> None:
    """Count a login as failed before its password is looked at; `succeeded` takes it back.

    Counted first, so that many attempts at once cannot slip by.

    Raises:
        TooMany: too many of this name or from this address have failed lately.
    """
    lock_logins(s)
    # Later than a window from now: the clock was wrong then, and nobody must wait until it comes.
    at = LoginFailure.created_at
    s.execute(delete(LoginFailure).where(or_(at <= now - WINDOW, at > now + WINDOW)))
    named, from_there = LoginFailure.name == _digest(name), LoginFailure.address == address
    for most, which in (
        (MOST_OF_NAME_AND_ADDRESS, named & from_there),
        (MOST_OF_NAME, named),
        (MOST_OF_ADDRESS, from_there),
    ):
        _refuse_if_full(s, which, most, now)
    s.add(LoginFailure(name=_digest(name), address=address, created_at=now))
    s.flush()


def succeeded(s: Session, *, name: str, address: str) -> None:
    """Forget what failed before the right password came from this address."""
    s.execute(
        delete(LoginFailure).where(
            LoginFailure.name == _digest(name), LoginFailure.address == address
        )
    )


def _refuse_if_full(s: Session, which: ColumnElement[bool], most: int, now: datetime) -> None:
    count, oldest = s.execute(
        select(func.count(), func.min(LoginFailure.created_at)).where(which)
    ).one()
    if count >= most:
        minutes = max(1, round((oldest + WINDOW - now) / timedelta(minutes=1)))
        raise TooMany(f"Too many wrong passwords; try again in {minutes} min.")


def _digest(name: str) -> str:
    return hashlib.sha256(name.casefold().encode(errors="replace")).hexdigest()

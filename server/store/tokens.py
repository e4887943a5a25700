"""API tokens: made, shown by programs, revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.orm import Session

from server.credentials import Token
from server.errors import NotFound
from server.models import Person, Role

_FIND = (
    select(Token.id, Token.scopes, Token.used_at, Person.id, Person.name, Person.role)
    .join(Person, Person.id == Token.person_id)
    .where(Token.fingerprint == bindparam("fingerprint"), Token.revoked_at.is_(None), Person.active)
)


@dataclass(frozen=True)
class Pass:
    """What a token opens, and for whom.

    Attributes:
        id: of the token.
        used_at: when it was last noted to be used.
        name, role: of the person.
    """

    id: int
    scopes: Sequence[str]
    used_at: datetime | None
    person_id: int
    name: str
    role: Role


@dataclass(frozen=True)
class Shown:
    """A token, and whose it is."""

    token: Token
    person: Person


def add_token(
    s: Session,
    *,
    person_id: int,
    name: str,
    prefix: str,
    fingerprint: str,
    scopes: Sequence[str],
    now: datetime,
) -> Token:
    """Store a new token's fingerprint."""
    token = Token(
        person_id=person_id,
        name=name,
        prefix=prefix,
        fingerprint=fingerprint,
        scopes=list(scopes),
        created_at=now,
    )
    s.add(token)
    s.flush()
    return token


def find(s: Session | Connection, *, fingerprint: str) -> Pass | None:
    """The token with this fingerprint, unless it is revoked or its owner no longer welcome."""
    row = s.execute(_FIND, {"fingerprint": fingerprint}).one_or_none()
    return Pass(*row) if row else None


def list_tokens(s: Session, *, person_id: int | None = None) -> Sequence[Shown]:
    """Tokens that work, of one person or of all, newest first."""
    query = (
        select(Token, Person)
        .join(Person, Person.id == Token.person_id)
        .where(Token.revoked_at.is_(None))
        .order_by(Token.id.desc())
    )
    if person_id is not None:
        query = query.where(Token.person_id == person_id)
    return [Shown(*row) for row in s.execute(query)]


def touch(s: Session, *, token_id: int, now: datetime) -> None:
    """Note that it is used."""
    s.get_one(Token, token_id).used_at = now


def revoke(s: Session, *, token_id: int, now: datetime, person_id: int | None = None) -> Token:
    """Let a token work no longer; harmless when it does not.

    Raises:
        NotFound: no such token, or not this person's.
    """
    token = s.get(Token, token_id)
    if token is None or person_id not in (None, token.person_id):
        raise NotFound(f"no token {token_id}")
    token.revoked_at = token.revoked_at or now
    return token

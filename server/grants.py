"""What is given out to be shown later: API tokens and invitations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from server.database import Database
from server.errors import Invalid
from server.keys import fingerprint, new_key, new_token
from server.models import Role
from server.names import checked_name
from server.permissions import SCOPES_OF_ROLE, Scope
from server.settings import Settings
from server.store import audit, invitations, tokens

PREFIX_LETTERS = 12


def make_token(
    database: Database,
    settings: Settings,
    *,
    person_id: int,
    role: Role,
    name: str,
    scopes: Sequence[Scope],
    by_id: int | None,
    address: str = "",
) -> str:
    """Give a person a token; it is told this once.

    Args:
        database: where its fingerprint is stored.
        settings: for the secret.
        person_id: whose it is.
        role: theirs; it bounds the scopes.
        name: what it is for, in their words.
        scopes: what it is good for.
        by_id: who gives it; None = the command line.
        address: where the request came from.

    Raises:
        Invalid: no scope, one that the role does not reach, or a bad name.
    """
    name, grantable = checked_name(name), SCOPES_OF_ROLE[role]
    if not scopes or not set(scopes) <= set(grantable):
        raise Invalid(f"Choose what the token is for: {', '.join(grantable)}.")
    token, now = new_token(), datetime.now(UTC)
    mark = fingerprint(settings, "token", token)
    with database.write() as s:
        row = tokens.add_token(
            s,
            person_id=person_id,
            name=name,
            prefix=token[:PREFIX_LETTERS],
            fingerprint=mark,
            scopes=sorted(set(scopes)),
            now=now,
        )
        audit.note(
            s,
            person_id=by_id,
            action="made token",
            subject=f"{row.prefix} ({', '.join(row.scopes)})",
            address=address,
            now=now,
        )
    return token


def make_invitation(
    database: Database, settings: Settings, *, role: Role, by_id: int | None, address: str = ""
) -> str:
    """Make an invitation; its key, told this once."""
    key, now = new_key(), datetime.now(UTC)
    mark = fingerprint(settings, "invitation", key)
    with database.write() as s:
        invitations.invite(s, fingerprint=mark, role=role, invited_by_id=by_id, now=now)
        audit.note(s, person_id=by_id, action="invited", subject=role, address=address, now=now)
    return key

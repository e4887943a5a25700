"""`clipwise token`: API tokens."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.user import opened
from server.errors import Invalid
from server.grants import make_token
from server.names import checked_name
from server.permissions import Scope
from server.settings import load_settings
from server.store import accounts, audit, tokens

console = Console()


def create(person: str, name: str, scopes: str) -> None:
    """Make a token and print it, this once.

    Raises:
        NotFound, Invalid: nobody of that name, or scopes that cannot be given.
    """
    wanted = [_scope(part.strip()) for part in scopes.split(",")]
    with opened() as database:
        with database.read() as s:
            owner = accounts.get_account(s, name=checked_name(person))
        token = make_token(
            database,
            load_settings(),
            person_id=owner.id,
            role=owner.role,
            name=name,
            scopes=wanted,
            by_id=None,
        )
    console.print(token, highlight=False, soft_wrap=True)


def show() -> None:
    """List tokens that work."""
    table = Table("number", "whose", "for", "begins with", "may", "last used")
    with opened() as database, database.read() as s:
        for shown in tokens.list_tokens(s):
            token = shown.token
            used = token.used_at.strftime("%Y-%m-%d %H:%M") if token.used_at else "never"
            may = ", ".join(token.scopes)
            table.add_row(
                str(token.id), Text(shown.person.name), Text(token.name), token.prefix, may, used
            )
    console.print(table)


def revoke(number: int) -> None:
    """Let a token work no longer.

    Raises:
        NotFound: there is none of that number.
    """
    now = datetime.now(UTC)
    with opened() as database, database.write() as s:
        token = tokens.revoke(s, token_id=number, now=now)
        audit.note(s, person_id=None, action="revoked token", subject=token.prefix, now=now)
    console.print(f"token {number} ({token.prefix}…) is revoked", highlight=False)


def _scope(name: str) -> Scope:
    if name not in list(Scope):
        raise Invalid(f"no scope {name}; choose from {', '.join(Scope)}")
    return Scope(name)

"""`clipwise user`: accounts. Passwords are asked for, or read from standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from getpass import getpass

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.orm import Session

from server.database import Database
from server.errors import Invalid
from server.models import Role
from server.names import checked_name
from server.passwords import hash_password
from server.settings import load_settings
from server.store import accounts, audit, sessions

console = Console()


def add(name: str, role: str) -> None:
    """Make an account.

    Raises:
        Invalid, Conflict: a name, role or password that cannot be taken.
    """
    name, wanted = checked_name(name), checked_role(role)
    with opened() as database:
        password_hash = hash_password(asked_password(), name=name)
        with database.write() as s:
            accounts.add_account(
                s, name=name, role=wanted, password_hash=password_hash, now=datetime.now(UTC)
            )
            _note(s, "added account", f"{name}: {wanted}")
    console.print(Text(f"{name} can log in as {wanted}"))


def show() -> None:
    """List accounts."""
    table = Table("name", "role", "active", "since")
    with opened() as database, database.read() as s:
        for person in accounts.list_accounts(s):
            active = "yes" if person.active else "no"
            since = person.created_at.strftime("%Y-%m-%d")
            table.add_row(Text(person.name), person.role, active, since)
    console.print(table)


def set_password(name: str) -> None:
    """Set somebody's password; they are logged out everywhere.

    Raises:
        NotFound, Invalid: nobody of that name, or a password that cannot be taken.
    """
    with opened() as database:
        with database.read() as s:
            name = accounts.get_account(s, name=checked_name(name)).name
        password_hash = hash_password(asked_password(), name=name)
        with database.write() as s:
            person = accounts.get_account(s, name=name)
            person.password_hash = password_hash
            sessions.end_all(s, person_id=person.id, now=datetime.now(UTC))
            _note(s, "set password", name)
    console.print(Text(f"{name} has a new password and is logged out everywhere"))


def set_role(name: str, role: str) -> None:
    """Give somebody another role.

    Raises:
        NotFound, Invalid, Conflict: nobody of that name, no such role, or the only admin.
    """
    wanted = checked_role(role)
    with opened() as database, database.write() as s:
        person = accounts.get_account(s, name=checked_name(name))
        accounts.set_role(s, person=person, role=wanted)
        _note(s, "changed role", f"{person.name}: {wanted}")
    console.print(Text(f"{person.name} is {wanted}"))


def deactivate(name: str) -> None:
    """Let somebody in no longer.

    Raises:
        NotFound, Conflict: nobody of that name, or the only admin.
    """
    with opened() as database, database.write() as s:
        person = accounts.get_account(s, name=checked_name(name))
        accounts.set_active(s, person=person, active=False)
        sessions.end_all(s, person_id=person.id, now=datetime.now(UTC))
        _note(s, "deactivated", person.name)
    console.print(Text(f"{person.name} can no longer log in; the answers stay"))


@contextmanager
def opened() -> Iterator[Database]:
    """The database of the settings, found to be of this version."""
    database = Database(load_settings().database_url)
    try:
        database.check_version()
        yield database
    finally:
        database.close()


def checked_role(role: str) -> Role:
    """Read a role.

    Raises:
        Invalid: there is none of that name.
    """
    if role not in list(Role):
        raise Invalid(f"no role {role}; choose one of {', '.join(Role)}")
    return Role(role)


def asked_password() -> str:
    """Ask for a new password twice on a terminal; elsewhere read one line.

    Raises:
        Invalid: the two differ.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass("New password: ")
    if getpass("Once more: ") != password:
        raise Invalid("the two passwords differ; try again")
    return password


def _note(s: Session, action: str, subject: str) -> None:
    audit.note(s, person_id=None, action=action, subject=subject, now=datetime.now(UTC))

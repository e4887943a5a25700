"""Logging in and out: what must happen together when a password is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from server.database import Database
from server.errors import Invalid, Unauthorized
from server.keys import fingerprint, new_key
from server.models import Person, Role
from server.names import checked_name
from server.passwords import hash_password, is_right
from server.settings import Settings
from server.store import accounts, audit, invitations, sessions, throttle

WRONG = "Name or password is wrong."

_BROWSERS = (("Edg", "Edge"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True)
class Caller:
    """Where a request comes from.

    Attributes:
        address: the network address, as the proxies tell it.
        browser: what the browser is, in a word or two.
        key: the cookie that it shows already, if any.
    """

    address: str
    browser: str
    key: str | None


@dataclass(frozen=True)
class Arrival:
    """Somebody has come in: the key for their cookie, and their role."""

    key: str
    role: Role


def browser_name(agent: str) -> str:
    """Name a browser as its owner would, from its User-Agent: `Firefox on Linux`."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "a program")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if system else browser


def check_password(database: Database, *, name: str, password: str, address: str) -> Person:
    """Whose name and password these are.

    Raises:
        Unauthorized: nobody's; whether the name or the password is wrong is not told.
        TooMany: too many were wrong.
    """
    now = datetime.now(UTC)
    try:
        name = checked_name(name)
    except Invalid:
        name = ""
    with database.write() as s:
        throttle.attempt(s, name=name, address=address, now=now)
        person = accounts.find_account(s, name=name)
    known = person.password_hash if person is not None and person.active else None
    # Outside of the transaction: it takes a while, and others wait to write.
    if not is_right(password, known) or person is None:
        with database.write() as s:
            # Not what was typed: now and then that is a password.
            who = person.name if person else "an unknown name"
            audit.note(
                s, person_id=None, action="login refused", subject=who, address=address, now=now
            )
        raise Unauthorized(WRONG)
    with database.write() as s:
        throttle.succeeded(s, name=name, address=address)
    return person


def log_in(
    database: Database, settings: Settings, *, name: str, password: str, caller: Caller
) -> Arrival:
    """Begin a login.

    The key is always a new one, and the login that the browser had before ends.

    Raises:
        Unauthorized, TooMany: see `check_password`.
    """
    person = check_password(database, name=name, password=password, address=caller.address)
    return begin(database, settings, person=person, action="logged in", caller=caller)


def begin(
    database: Database, settings: Settings, *, person: Person, action: str, caller: Caller
) -> Arrival:
    """Log somebody in who has shown who they are."""
    now = datetime.now(UTC)
    key = new_key()
    with database.write() as s:
        if caller.key:
            sessions.end_by_key(
                s, fingerprint=fingerprint(settings, "session", caller.key), now=now
            )
        sessions.begin(
            s,
            person_id=person.id,
            fingerprint=fingerprint(settings, "session", key),
            browser=caller.browser,
            lasts=timedelta(days=settings.session_days),
            now=now,
        )
        audit.note(
            s,
            person_id=person.id,
            action=action,
            subject=caller.browser,
            address=caller.address,
            now=now,
        )
    return Arrival(key, person.role)


def log_out(database: Database, *, mark: str, address: str) -> None:
    """End the login of whichever browser shows the key with this fingerprint, if any."""
    now = datetime.now(UTC)
    with database.write() as s:
        ended = sessions.end_by_key(s, fingerprint=mark, now=now)
        if ended is not None:
            audit.note(
                s,
                person_id=ended.person_id,
                action="logged out",
                subject=ended.browser,
                address=address,
                now=now,
            )


def join(
    database: Database,
    settings: Settings,
    *,
    invitation: str,
    name: str,
    password: str,
    caller: Caller,
) -> Arrival:
    """Accept an invitation and log in.

    Raises:
        Invalid: a name or password that cannot be taken.
        NotFound: the invitation is unknown, used or too old.
        Conflict: the name is taken.
    """
    now = datetime.now(UTC)
    name = checked_name(name)
    password_hash = hash_password(password, name=name)
    with database.write() as s:
        person = invitations.accept(
            s,
            fingerprint=fingerprint(settings, "invitation", invitation),
            name=name,
            password_hash=password_hash,
            now=now,
        )
    return begin(database, settings, person=person, action="joined", caller=caller)


def change_password(
    database: Database,
    settings: Settings,
    *,
    name: str,
    old: str,
    new: str,
    caller: Caller,
) -> Arrival:
    """Set another password; every login ends, and a new one begins here.

    Raises:
        Unauthorized, TooMany: the old password is wrong, or was too often.
        Invalid: the new one cannot be taken.
    """
    person = check_password(database, name=name, password=old, address=caller.address)
    password_hash = hash_password(new, name=name)
    with database.write() as s:
        accounts.get_person(s, person_id=person.id).password_hash = password_hash
        sessions.end_all(s, person_id=person.id, now=datetime.now(UTC))
    return begin(database, settings, person=person, action="changed password", caller=caller)

"""People as accounts: name, role, password, active or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.errors import Conflict, NotFound
from server.models import Person, Role
from server.store.locks import lock_admins
from server.store.people import LOCAL


def add_account(s: Session, *, name: str, role: Role, password_hash: str, now: datetime) -> Person:
    """Make an account.

    Raises:
        Conflict: the name is taken, or differs from another only in capitals.
    """
    taken = {LOCAL, *(other.casefold() for other in s.scalars(select(Person.name)))}
    if name.casefold() in taken:
        raise Conflict(f"the name {name} is taken; choose another")
    person = Person(name=name, role=role, password_hash=password_hash, created_at=now)
    try:
        with s.begin_nested():
            s.add(person)
    except IntegrityError as error:
        raise Conflict(f"the name {name} is taken; choose another") from error
    return person


def get_account(s: Session, *, name: str) -> Person:
    """The account of that name.

    Raises:
        NotFound: there is none.
    """
    person = find_account(s, name=name)
    if person is None:
        raise NotFound(f"nobody is called {name}; see: clipwise user list")
    return person


def find_account(s: Session, *, name: str) -> Person | None:
    """The account of that name, or None."""
    return s.scalar(select(Person).where(Person.name == name))


def get_person(s: Session, *, person_id: int) -> Person:
    """Somebody by number.

    Raises:
        NotFound: nobody.
    """
    person = s.get(Person, person_id)
    if person is None:
        raise NotFound(f"no person {person_id}")
    return person


def list_accounts(s: Session) -> Sequence[Person]:
    """Everybody who can log in, or could, by name."""
    return s.scalars(
        select(Person).where(Person.password_hash.is_not(None)).order_by(Person.name)
    ).all()


def has_admin(s: Session) -> bool:
    """Whether somebody can manage accounts."""
    return bool(_admins(s))


def set_role(s: Session, *, person: Person, role: Role) -> None:
    """Give a role.

    Raises:
        Conflict: nobody would be left to manage accounts.
    """
    if role is not Role.ADMIN:
        _keep_an_admin(s, person)
    person.role = role


def set_active(s: Session, *, person: Person, active: bool) -> None:
    """Let somebody in again, or no longer; what they have answered stays.

    Raises:
        Conflict: nobody would be left to manage accounts.
    """
    if not active:
        _keep_an_admin(s, person)
    person.active = active


def _keep_an_admin(s: Session, person: Person) -> None:
    lock_admins(s)
    if list(_admins(s)) == [person.id]:
        raise Conflict(f"{person.name} is the only admin; make somebody else one first")


def _admins(s: Session) -> Sequence[int]:
    """Who can manage accounts."""
    admins = select(Person.id).where(
        Person.role == Role.ADMIN, Person.active, Person.password_hash.is_not(None)
    )
    return s.scalars(admins.order_by(Person.id)).all()

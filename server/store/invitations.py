"""Invitations: one link, one account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from server.credentials import Invitation
from server.errors import NotFound
from server.models import Person, Role
from server.store import accounts

LASTS = timedelta(days=7)


def invite(
    s: Session, *, fingerprint: str, role: Role, invited_by_id: int | None, now: datetime
) -> Invitation:
    """Store an invitation's fingerprint."""
    invitation = Invitation(
        fingerprint=fingerprint,
        role=role,
        invited_by_id=invited_by_id,
        created_at=now,
        expires_at=now + LASTS,
    )
    s.add(invitation)
    s.flush()
    return invitation


def accept(s: Session, *, fingerprint: str, name: str, password_hash: str, now: datetime) -> Person:
    """Make the account that was offered.

    Raises:
        NotFound: unknown, used, withdrawn or expired; which one is not told.
        Conflict: the name is taken.
    """
    invitation = s.scalar(
        update(Invitation)
        .where(
            Invitation.fingerprint == fingerprint,
            Invitation.used_at.is_(None),
            Invitation.expires_at > now,
        )
        .values(used_at=now)
        .returning(Invitation)
    )
    if invitation is None:
        raise NotFound("this invitation is used or too old; ask for a new one")
    person = accounts.add_account(
        s, name=name, role=invitation.role, password_hash=password_hash, now=now
    )
    invitation.person_id = person.id
    return person


def list_open(s: Session, *, now: datetime) -> Sequence[Invitation]:
    """Invitations that can still be accepted, newest first."""
    return s.scalars(
        select(Invitation)
        .where(Invitation.used_at.is_(None), Invitation.expires_at > now)
        .order_by(Invitation.id.desc())
    ).all()


def withdraw(s: Session, *, invitation_id: int, now: datetime) -> Invitation:
    """Take an invitation back.

    Raises:
        NotFound: no such invitation, or already accepted.
    """
    invitation = s.get(Invitation, invitation_id)
    if invitation is None or invitation.person_id is not None:
        raise NotFound(f"no open invitation {invitation_id}")
    invitation.used_at = invitation.used_at or now
    return invitation

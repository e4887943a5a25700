"""The log of who did what, on what, when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.credentials import AuditEvent
from server.models import Person

LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class Entry:
    """One line of the log; `who` is None for the command line and for strangers."""

    id: int
    who: str | None
    action: str
    subject: str
    address: str
    created_at: datetime


def note(
    s: Session,
    *,
    person_id: int | None,
    action: str,
    subject: str = "",
    address: str = "",
    now: datetime,
) -> None:
    """Add a line, in the same transaction as what it tells of."""
    s.add(
        AuditEvent(
            person_id=person_id,
            action=action,
            subject=subject[:LONGEST_SUBJECT],
            address=address,
            created_at=now,
        )
    )


def read(s: Session, *, limit: int, before: int | None = None) -> Sequence[Entry]:
    """The newest lines, or those before line `before`."""
    query = (
        select(AuditEvent, Person.name)
        .outerjoin(Person, Person.id == AuditEvent.person_id)
        .order_by(AuditEvent.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return [
        Entry(event.id, who, event.action, event.subject, event.address, event.created_at)
        for event, who in s.execute(query)
    ]

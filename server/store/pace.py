"""How labelling goes: how fast, and how many answers are ties."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.models import Answer, Preference
from server.store.preferences import given
from server.store.pulse import answers_since

NEWEST = 100
RATE_WINDOW = timedelta(minutes=5)


@dataclass(frozen=True)
class Pace:
    """The newest answers of a run.

    Attributes:
        tie_share: of the newest hundred labels; None before the first.
        seconds: median time that one took people; None where no person answered.
        per_minute: answers in the last five minutes, per minute.
    """

    tie_share: float | None
    seconds: float | None
    per_minute: float


def pace(s: Session, *, run_id: int, now: datetime) -> Pace:
    """How labelling goes at this moment."""
    rows = s.execute(
        select(Preference.answer, Preference.seconds)
        .where(Preference.run_id == run_id, given())
        .order_by(Preference.id.desc())
        .limit(NEWEST)
    ).all()
    seconds = [seconds for _, seconds in rows if seconds is not None]
    ties = sum(answer is Answer.TIE for answer, _ in rows)
    return Pace(
        tie_share=ties / len(rows) if rows else None,
        seconds=statistics.median(seconds) if seconds else None,
        per_minute=per_minute(s, run_id=run_id, now=now),
    )


def per_minute(s: Session, *, run_id: int, now: datetime) -> float:
    """Answers per minute over the last five."""
    given_lately = answers_since(s, run_id=run_id, since=now - RATE_WINDOW)
    return given_lately / (RATE_WINDOW / timedelta(minutes=1))

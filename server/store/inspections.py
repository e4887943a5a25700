"""Inspections: asked for by the server, taken by one worker at a time, kept once they are there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from server.errors import NotFound, TooMany
from server.inspections import Aspect, Inspection
from server.models import RewardModel, Run

MOST_WAITING = 300
"""Of all runs together; more than one page can ask for at once, many times over."""
SILENT_AFTER = timedelta(minutes=5)
"""A worker that has not said so long that it is at it has died."""
ATTEMPTS = 3
DIED = "the learner ended over this three times; its log says why"

# Saliency is waited for frame by frame; all segments of a run take a while.
_ORDER = (
    Aspect.SALIENCY,
    Aspect.STEPS,
    Aspect.REWARDS,
    Aspect.FILM,
    Aspect.AGENT_VIEW,
    Aspect.SEGMENTS,
)
_RANK = case({one: rank for rank, one in enumerate(_ORDER)}, value=Inspection.aspect)


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to know; see the columns of `Inspection`."""

    run_id: int
    aspect: Aspect
    subject: str = ""
    version: int = 0
    method: str = ""
    step: int = 0


@dataclass(frozen=True)
class Taken:
    """What a worker has taken to find out.

    Attributes:
        run: the run's name.
        model: artifact of the reward model; None where none is needed.
        earlier: artifact of what was found before, to go on from; None = nothing.
    """

    id: int
    run: str
    wanted: Wanted
    model: str | None
    earlier: str | None = None


def ask(s: Session, wanted: Wanted, *, now: datetime) -> Inspection:
    """Ask the workers, unless it was asked before.

    Raises:
        TooMany: as much waits as may.
    """
    found = find(s, wanted)
    if found is not None:
        return found
    waiting = select(func.count()).where(Inspection.done_at.is_(None))
    if (s.scalar(waiting) or 0) >= MOST_WAITING:
        raise TooMany("the learner has too much to look at already; try again in a minute")
    dialect: Any = postgresql if s.get_bind().dialect.name == "postgresql" else sqlite
    row = {key: getattr(wanted, key) for key in wanted.__dataclass_fields__}
    insert = dialect.insert(Inspection).values(**row, attempts=0, reason="", created_at=now)
    s.execute(insert.on_conflict_do_nothing())  # somebody else may just have asked the same
    found = find(s, wanted)
    assert found is not None, wanted
    return found


def find(s: Session, wanted: Wanted) -> Inspection | None:
    """What was asked before; None: nobody has."""
    conditions = [
        getattr(Inspection, key) == getattr(wanted, key) for key in wanted.__dataclass_fields__
    ]
    return s.scalar(select(Inspection).where(*conditions))


def get(s: Session, *, inspection_id: int) -> Inspection:
    """One inspection.

    Raises:
        NotFound: no such one.
    """
    found = s.get(Inspection, inspection_id)
    if found is None:
        raise NotFound(f"no inspection {inspection_id}")
    return found


def ask_again(s: Session, *, inspection_id: int, going_on: bool = False) -> Inspection:
    """Forget what was found, or why nothing was: it is asked as if for the first time.

    Args:
        s: the session.
        inspection_id: which one.
        going_on: keep what was found, for a worker to add to.

    Raises:
        NotFound: no such one.
    """
    found = get(s, inspection_id=inspection_id)
    found.attempts, found.taken_at, found.done_at = 0, None, None
    found.reason = ""
    if not going_on:
        found.result = None
    s.flush()
    return found


def is_waiting(s: Session, *, now: datetime) -> bool:
    """Whether anything waits for a worker."""
    return s.scalar(select(select(Inspection.id).where(_free(now)).exists())) or False


def take(s: Session, *, now: datetime, quick: bool = False) -> Taken | None:
    """Give a worker what is to be found out next.

    Args:
        s: the session.
        now: the time.
        quick: leave out what takes long.
    """
    free = [_free(now)]
    if quick:
        free.append(Inspection.aspect != Aspect.SEGMENTS)
    wanted = (
        select(Inspection.id)
        .where(*free)
        .order_by(_RANK, Inspection.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = s.scalar(
        update(Inspection)
        .where(Inspection.id == wanted.scalar_subquery(), _free(now))
        .values(taken_at=now, attempts=Inspection.attempts + 1)
        .returning(Inspection)
        .execution_options(synchronize_session=False)
    )
    if row is None:
        return None
    if row.attempts > ATTEMPTS:
        refuse(s, inspection_id=row.id, reason=DIED, now=now)
        return take(s, now=now, quick=quick)
    model = s.scalar(
        select(RewardModel.artifact).where(
            RewardModel.run_id == row.run_id, RewardModel.version == row.version
        )
    )
    wanted_of = Wanted(row.run_id, row.aspect, row.subject, row.version, row.method, row.step)
    return Taken(row.id, s.get_one(Run, row.run_id).name, wanted_of, model, row.result)


def _free(now: datetime) -> ColumnElement[bool]:
    """Not done, and nobody is at it; not since a time to come, by a clock that was set back."""
    silent = or_(
        Inspection.taken_at.is_(None),
        Inspection.taken_at < now - SILENT_AFTER,
        Inspection.taken_at > now + SILENT_AFTER,
    )
    return and_(Inspection.done_at.is_(None), silent)


def go_on(s: Session, *, inspection_id: int, now: datetime) -> None:
    """The worker is still at it."""
    get(s, inspection_id=inspection_id).taken_at = now


def finish(s: Session, *, inspection_id: int, result: str, now: datetime) -> None:
    """Name what was found."""
    found = get(s, inspection_id=inspection_id)
    found.result, found.reason, found.done_at = result, "", now


def refuse(s: Session, *, inspection_id: int, reason: str, now: datetime) -> None:
    """Say why it cannot be found out."""
    found = get(s, inspection_id=inspection_id)
    found.result, found.reason, found.done_at = None, reason[:500], now

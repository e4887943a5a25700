"""Plays: asked for by the server, taken by one worker, kept as demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from server.errors import TooMany
from server.models import Run, Trajectory
from server.plays import KeptPlay, Play
from server.store.locks import lock_person

MOST = 4
"""Games at once, of all people together: each takes a part of a core."""
LONGEST = timedelta(minutes=10)
"""A game is over after this; what is older and still open was left by a server that died."""


@dataclass(frozen=True)
class Hosted:
    """A play that a worker has taken."""

    id: int
    run: str
    run_id: int
    secret: str
    config: dict[str, object]


def ask(s: Session, *, run_id: int, person_id: int, secret: str, now: datetime) -> Play:
    """Ask the workers for a game; another one of this person's ends.

    Raises:
        TooMany: as many are played already as may be.
    """
    lock_person(s, person_id)
    s.execute(
        update(Play)
        .where(Play.person_id == person_id, Play.ended_at.is_(None))
        .values(ended_at=now)
    )
    running = s.scalar(
        select(func.count()).where(Play.ended_at.is_(None), Play.created_at > now - LONGEST)
    )
    if (running or 0) >= MOST:
        raise TooMany(f"{MOST} games are played already; try again in a few minutes")
    play = Play(run_id=run_id, person_id=person_id, secret=secret, created_at=now)
    s.add(play)
    s.flush()
    return play


def is_waiting(s: Session, *, now: datetime) -> bool:
    """Whether a play waits for a worker."""
    return s.scalar(select(_waiting(now).exists())) or False


def take(s: Session, *, now: datetime) -> Hosted | None:
    """Give a worker the oldest play that nobody hosts yet."""
    wanted = _waiting(now).order_by(Play.id).limit(1).with_for_update(skip_locked=True)
    play = s.scalar(
        update(Play)
        .where(Play.id == wanted.scalar_subquery(), Play.taken_at.is_(None))
        .values(taken_at=now)
        .returning(Play)
        .execution_options(synchronize_session=False)
    )
    if play is None:
        return None
    run = s.get_one(Run, play.run_id)
    return Hosted(play.id, run.name, run.id, play.secret, run.config)


def _waiting(now: datetime) -> Select[int]:
    return select(Play.id).where(
        Play.taken_at.is_(None), Play.ended_at.is_(None), Play.created_at > now - LONGEST
    )


def offer(s: Session, *, play_id: int, address: str) -> None:
    """Say where a game is played."""
    s.get_one(Play, play_id).address = address


def refuse(s: Session, *, play_id: int, reason: str, now: datetime) -> None:
    """Say why a game cannot be played."""
    play = s.get_one(Play, play_id)
    play.reason, play.ended_at = reason[:500], play.ended_at or now


def end(s: Session, *, play_id: int, now: datetime) -> None:
    """A game is over; harmless when it is already."""
    play = s.get_one(Play, play_id)
    play.ended_at = play.ended_at or now


def keep(s: Session, *, play_id: int, trajectory_id: int, now: datetime) -> None:
    """Keep an episode of a game as a demonstration."""
    s.add(KeptPlay(play_id=play_id, trajectory_id=trajectory_id, created_at=now))


def kept(s: Session, *, run_id: int) -> Sequence[str]:
    """Artifacts of the episodes that people kept of a run's games, oldest first."""
    return s.scalars(
        select(Trajectory.artifact)
        .join(KeptPlay, KeptPlay.trajectory_id == Trajectory.id)
        .where(Trajectory.run_id == run_id)
        .order_by(KeptPlay.id)
    ).all()

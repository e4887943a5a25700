"""The trajectories of a run, as somebody looks through them: clips' rollouts, plays, episodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from server.errors import NotFound
from server.models import (
    Answer,
    Checkpoint,
    Preference,
    Query,
    Segment,
    Teacher,
    TeacherKind,
    Trajectory,
)
from server.store.preferences import given

_ORIGINS = {"demonstration": "demonstration", "minari": "demonstration", "play": "played game"}


@dataclass(frozen=True)
class Viewed:
    """What is looked at: a stored trajectory, or the episode that a checkpoint's video shows.

    Attributes:
        artifact: its recipe.
        origin: rollout, demonstration, played game or episode.
        level, steps, true_return: None where only the recipe knows.
        policy_step: environment steps that the agent had learned from.
    """

    trajectory: int | None
    checkpoint: int | None
    artifact: str
    origin: str
    level: int | None
    steps: int | None
    true_return: float | None
    policy_step: int
    created_at: datetime


@dataclass(frozen=True)
class Part:
    """A segment of a trajectory, and the pairs that show it."""

    segment: Segment
    queries: Sequence[int]


@dataclass(frozen=True)
class Decided:
    """An answer that prefers one of a pair's two segments.

    Attributes:
        a, b: ids of the segments.
        teacher: who gave it.
    """

    query: int
    a: int
    b: int
    answer: Answer
    teacher: TeacherKind


def read_trajectory(s: Session, *, run_id: int, trajectory_id: int) -> Viewed:
    """A stored trajectory.

    Raises:
        NotFound: no such one in this run.
    """
    row = s.get(Trajectory, trajectory_id)
    if row is None or row.run_id != run_id:
        raise NotFound(f"no trajectory {trajectory_id} in this run")
    return _viewed(row)


def read_episode(s: Session, *, run_id: int, checkpoint_id: int) -> Viewed:
    """The episode that a checkpoint's agent was filmed in.

    Raises:
        NotFound: no such checkpoint in this run, or none was filmed.
    """
    row = s.get(Checkpoint, checkpoint_id)
    if row is None or row.run_id != run_id or row.showing is None:
        raise NotFound(f"no episode of a checkpoint {checkpoint_id} in this run")
    return _episode(row, row.showing)


def list_trajectories(
    s: Session, *, run_id: int, before: int | None = None, limit: int
) -> list[Viewed]:
    """Stored trajectories, the newest first.

    Args:
        s: the session.
        run_id: the run.
        before: only those with a lower id.
        limit: at most so many.
    """
    wanted = select(Trajectory).where(Trajectory.run_id == run_id)
    if before is not None:
        wanted = wanted.where(Trajectory.id < before)
    return [_viewed(row) for row in s.scalars(wanted.order_by(Trajectory.id.desc()).limit(limit))]


def list_episodes(s: Session, *, run_id: int, limit: int) -> list[Viewed]:
    """Episodes of the newest checkpoints that were filmed, the newest first."""
    rows = s.scalars(
        select(Checkpoint)
        .where(Checkpoint.run_id == run_id, Checkpoint.showing.is_not(None))
        .order_by(Checkpoint.iteration.desc())
        .limit(limit)
    )
    return [_episode(row, row.showing) for row in rows if row.showing]


def parts_of(s: Session, *, trajectory_id: int, limit: int) -> list[Part]:
    """The segments of a trajectory that were shown, by their first step."""
    rows = s.scalars(
        select(Segment)
        .where(Segment.trajectory_id == trajectory_id)
        .order_by(Segment.start, Segment.id)
        .limit(limit)
    ).all()
    ids = [row.id for row in rows]
    shown: dict[int, list[int]] = {}
    for query, a, b in s.execute(
        select(Query.id, Query.segment_a_id, Query.segment_b_id)
        .where(or_(Query.segment_a_id.in_(ids), Query.segment_b_id.in_(ids)))
        .order_by(Query.id)
    ):
        for one in (a, b):
            shown.setdefault(one, []).append(query)
    return [Part(row, shown.get(row.id, [])) for row in rows]


def segments(s: Session, *, ids: Collection[int]) -> dict[int, tuple[Segment, Trajectory]]:
    """Segments with their trajectories, by the segments' ids."""
    rows = s.execute(
        select(Segment, Trajectory)
        .join(Trajectory, Trajectory.id == Segment.trajectory_id)
        .where(Segment.id.in_(ids))
    )
    return {segment.id: (segment, trajectory) for segment, trajectory in rows}


def decided(s: Session, *, run_id: int, limit: int) -> list[Decided]:
    """The newest labels that prefer a segment, those of people before all others."""
    person = Teacher.kind == TeacherKind.PERSON
    rows = s.execute(
        select(Query.id, Query.segment_a_id, Query.segment_b_id, Preference.answer, Teacher.kind)
        .join(Query, Query.id == Preference.query_id)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(
            Preference.run_id == run_id,
            Preference.answer.in_((Answer.A, Answer.B)),
            given(),
        )
        .order_by(person.desc(), Preference.id.desc())
        .limit(limit)
    )
    return [Decided(*row) for row in rows]


def _viewed(row: Trajectory) -> Viewed:
    return Viewed(
        trajectory=row.id,
        checkpoint=None,
        artifact=row.artifact,
        origin=_ORIGINS.get(row.episode.partition("-")[0], "rollout"),
        level=row.level,
        steps=row.steps,
        true_return=row.true_return,
        policy_step=row.policy_step,
        created_at=row.created_at,
    )


def _episode(row: Checkpoint, showing: str) -> Viewed:
    return Viewed(
        trajectory=None,
        checkpoint=row.id,
        artifact=showing,
        origin="episode",
        level=None,
        steps=None,
        true_return=None,
        policy_step=row.steps,
        created_at=row.created_at,
    )

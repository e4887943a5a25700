"""Trajectories, the segments cut from them, and the clips made of those."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

from server.errors import NotFound
from server.models import Assignment, Purpose, Query, QueryState, Segment, Trajectory
from server.store.locks import lock_answers

# As the column stores them: a case expression does not know its column's type.
_OPEN = literal(QueryState.OPEN, Query.state.type)
_CLOSED = literal(QueryState.CLOSED, Query.state.type)


@dataclass(frozen=True)
class Recipe:
    """What a segment is rendered from.

    Attributes:
        artifact: its trajectory, in the artifact store.
        start, length: the window within the trajectory, in steps.
    """

    segment_id: int
    artifact: str
    start: int
    length: int


def add_trajectory(
    s: Session,
    *,
    run_id: int,
    artifact: str,
    episode: str,
    level: int,
    policy_step: int,
    steps: int,
    true_return: float,
    now: datetime,
) -> Trajectory:
    """Add a trajectory whose recipe is already in the artifact store."""
    trajectory = Trajectory(
        run_id=run_id,
        artifact=artifact,
        episode=episode,
        level=level,
        policy_step=policy_step,
        steps=steps,
        true_return=true_return,
        created_at=now,
    )
    s.add(trajectory)
    s.flush()
    return trajectory


def add_segment(
    s: Session, *, run_id: int, trajectory_id: int, start: int, length: int, true_return: float
) -> Segment:
    """Add a window of a trajectory, without a clip yet."""
    segment = Segment(
        run_id=run_id,
        trajectory_id=trajectory_id,
        start=start,
        length=length,
        true_return=true_return,
    )
    s.add(segment)
    s.flush()
    return segment


def recipe(s: Session, *, segment_id: int) -> Recipe:
    """What a segment is rendered from.

    Raises:
        NotFound: no such segment.
    """
    segment = _segment(s, segment_id)
    trajectory = s.get_one(Trajectory, segment.trajectory_id)
    return Recipe(segment.id, trajectory.artifact, segment.start, segment.length)


def true_returns(s: Session, *, segment_ids: Collection[int]) -> dict[int, float]:
    """True returns of segments, by their ids."""
    wanted = select(Segment.id, Segment.true_return).where(Segment.id.in_(segment_ids))
    return dict(s.execute(wanted).all())


def recipes(s: Session, *, run_id: int) -> list[Recipe]:
    """What all segments of a run are rendered from, the newest first."""
    found = s.execute(
        select(Segment.id, Trajectory.artifact, Segment.start, Segment.length)
        .join(Trajectory, Trajectory.id == Segment.trajectory_id)
        .where(Segment.run_id == run_id)
        .order_by(Segment.id.desc())
    )
    return [Recipe(*row) for row in found]


def segments_without_clip(s: Session, *, run_id: int, limit: int) -> list[Recipe]:
    """Segments that pending queries wait for, in the order in which the queries will be shown."""
    found = s.execute(
        select(Segment.id, Trajectory.artifact, Segment.start, Segment.length)
        .join(Trajectory, Trajectory.id == Segment.trajectory_id)
        .join(Query, or_(Query.segment_a_id == Segment.id, Query.segment_b_id == Segment.id))
        .where(Query.run_id == run_id, Query.state == QueryState.PENDING, Segment.clip.is_(None))
        .order_by(Query.iteration.desc(), Query.priority.desc(), Query.id, Segment.id)
    )
    wanted = dict.fromkeys(Recipe(*row) for row in found)  # several queries may want one
    return list(wanted)[:limit]


def want_agent_clips(s: Session, *, query_id: int) -> tuple[Segment, Segment]:
    """Ask for a pair's clips in the agent's view; returns its segments, a before b."""
    query = s.get_one(Query, query_id)
    segments = s.get_one(Segment, query.segment_a_id), s.get_one(Segment, query.segment_b_id)
    for segment in segments:
        segment.agent_clip_wanted = True
    s.flush()
    return segments


def agent_clips_wanted(s: Session, *, run_id: int, limit: int) -> list[Recipe]:
    """Segments whose agent's view somebody is waiting for, the newest first."""
    found = s.execute(
        select(Segment.id, Trajectory.artifact, Segment.start, Segment.length)
        .join(Trajectory, Trajectory.id == Segment.trajectory_id)
        .where(Segment.run_id == run_id, Segment.agent_clip_wanted, Segment.agent_clip.is_(None))
        .order_by(Segment.id.desc())
        .limit(limit)
    )
    return [Recipe(*row) for row in found]


def set_agent_clip(s: Session, *, segment_id: int, clip: str) -> None:
    """Name a segment's clip in the agent's view; empty where there is nothing to be seen.

    Raises:
        NotFound: no such segment.
    """
    _segment(s, segment_id).agent_clip = clip
    s.flush()


def set_clip(s: Session, *, segment_id: int, clip: str) -> int:
    """Name a segment's clip; returns how many queries opened because both of theirs are ready.

    Raises:
        NotFound: no such segment.
    """
    segment = _segment(s, segment_id)
    lock_answers(s, segment.run_id)  # else two clips at once each miss the other
    segment.clip = clip
    s.flush()
    a, b = aliased(Segment), aliased(Segment)
    ready = (
        select(Query.id)
        .join(a, a.id == Query.segment_a_id)
        .join(b, b.id == Query.segment_b_id)
        .where(
            Query.run_id == segment.run_id,
            Query.state == QueryState.PENDING,
            or_(a.id == segment_id, b.id == segment_id),
            a.clip.is_not(None),
            b.clip.is_not(None),
        )
    )
    opened = s.scalars(
        update(Query)
        .where(Query.id.in_(ready))
        .values(state=case((_given_apart(), _CLOSED), else_=_OPEN))
        .returning(Query.id)
        .execution_options(synchronize_session="fetch")
    )
    return len(opened.all())


def clip_failed(s: Session, *, segment_id: int) -> int:
    """Set aside the queries of a segment whose clip is gone or cannot be made.

    Those that are answered stay so, but are not repeated. Returns how many were set aside.

    Raises:
        NotFound: no such segment.
    """
    segment = _segment(s, segment_id)
    lock_answers(s, segment.run_id)
    shows_it = or_(Query.segment_a_id == segment_id, Query.segment_b_id == segment_id)
    s.execute(
        update(Assignment)
        .where(
            Assignment.purpose != Purpose.ORDINARY,
            Assignment.closed_at.is_(None),
            Assignment.query_id.in_(select(Query.id).where(shows_it)),
        )
        .values(closed_at=Assignment.leased_at)
        .execution_options(synchronize_session="fetch")
    )
    still_shown = or_(
        Query.state.in_((QueryState.PENDING, QueryState.OPEN)),
        and_(Query.state == QueryState.CLOSED, _given_apart()),
    )
    set_aside = s.scalars(
        update(Query)
        .where(Query.run_id == segment.run_id, still_shown, shows_it)
        .values(state=QueryState.SET_ASIDE)
        .returning(Query.id)
        .execution_options(synchronize_session="fetch")
    )
    return len(set_aside.all())


def _given_apart() -> ColumnElement[bool]:
    """Queries that are not in the ordinary queue and are shown while closed: gold, and trials."""
    return or_(Query.gold.is_not(None), Query.trial_id.is_not(None))


def _segment(s: Session, segment_id: int) -> Segment:
    segment = s.get(Segment, segment_id)
    if segment is None:
        raise NotFound(f"no segment {segment_id}")
    return segment

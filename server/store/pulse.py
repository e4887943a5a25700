"""What anybody watching a run would notice: one cheap query, compared with the last answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import Session

from server.models import (
    Alarm,
    Change,
    Checkpoint,
    Command,
    CommandKind,
    Preference,
    Query,
    QueryState,
    RewardModel,
    Run,
    RunState,
)


@dataclass(frozen=True)
class Pulse:
    """Two equal pulses mean that nothing a page shows has changed."""

    state: RunState
    reason: str
    activity: str
    iteration: int
    steps: int
    steps_per_second: float | None
    heartbeat_at: datetime | None
    preference: int | None
    version: int | None
    videos: int
    newest_video: int | None
    open_queries: int
    pending_queries: int
    asked: int | None
    """Newest command that no worker has taken yet."""
    newest_alarm: int | None
    settled_alarms: int
    newest_change: int | None
    label_budget: int


def pulse(s: Session, *, run_id: int) -> Pulse | None:
    """The run's pulse; None if there is no such run."""
    videos = select(Checkpoint.id).where(Checkpoint.run_id == run_id, Checkpoint.video != "")
    asked = select(func.max(Command.id)).where(Command.run_id == run_id, Command.taken_at.is_(None))
    settled = select(func.count(Alarm.acknowledged_at) + func.count(Alarm.cleared_at)).where(
        Alarm.run_id == run_id
    )
    row = s.execute(
        select(
            Run.state,
            Run.reason,
            Run.activity,
            Run.iteration,
            Run.steps,
            Run.steps_per_second,
            Run.heartbeat_at,
            _newest(Preference, run_id),
            _newest(RewardModel, run_id),
            select(func.count()).select_from(videos.subquery()).scalar_subquery(),
            select(func.max(videos.subquery().c.id)).scalar_subquery(),
            _queries(run_id, QueryState.OPEN),
            _queries(run_id, QueryState.PENDING),
            asked.scalar_subquery(),
            _newest(Alarm, run_id),
            settled.scalar_subquery(),
            _newest(Change, run_id),
            Run.label_budget,
        ).where(Run.id == run_id)
    ).one_or_none()
    return None if row is None else Pulse(*row)


def command_awaited(s: Session, *, run_id: int) -> CommandKind | None:
    """The newest command that the worker has not taken yet."""
    return s.scalar(
        select(Command.kind)
        .where(Command.run_id == run_id, Command.taken_at.is_(None))
        .order_by(Command.id.desc())
        .limit(1)
    )


def answers_since(s: Session, *, run_id: int, since: datetime) -> int:
    """Answers given since a moment, those taken back later included."""
    return (
        s.scalar(
            select(func.count())
            .select_from(Preference)
            .where(
                Preference.run_id == run_id,
                Preference.created_at > since,
                Preference.replaces_id.is_(None),
            )
        )
        or 0
    )


_Numbered = type[Preference] | type[RewardModel] | type[Alarm] | type[Change]


def _newest(model: _Numbered, run_id: int) -> ScalarSelect[int | None]:
    return select(func.max(model.id)).where(model.run_id == run_id).scalar_subquery()


def _queries(run_id: int, state: QueryState) -> ScalarSelect[int]:
    return (
        select(func.count())
        .select_from(Query)
        .where(Query.run_id == run_id, Query.state == state)
        .scalar_subquery()
    )

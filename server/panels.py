"""The parts of a run's page as plain values: equal values need no new HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.charts import RETURNS, UNSEEN_INTERVAL
from server.intervals import wilson
from server.models import Alarm, Answer, Checkpoint, CommandKind, RewardModel, Run, RunState
from server.ringing import SILENCE, AlarmView, read_alarms
from server.store import alarms, changes, metrics, queries, runs, trials
from server.store import pulse as pulses
from server.store.marks import Mark
from server.store.pace import per_minute
from server.waiting import SILENT_AFTER

NEWEST_VERSIONS = 5
NEWEST_VIDEOS = 9
NEWEST_MARKS = 30
NEWEST_TRIALS = 5
SPARKLINE_POINTS = 40
UNSEEN = RETURNS.lines[0].name


@dataclass(frozen=True)
class Standing:
    """The first line: is it alive, how far is it, what can one ask of it."""

    name: str
    environment: str
    goal: str
    state: RunState
    alive: bool
    activity: str
    iteration: int
    steps: int
    total_steps: int
    steps_per_second: float | None
    heartbeat_at: datetime | None
    ahead: bool
    """The last heartbeat is of a time to come: a clock was set back since."""
    reason: str
    asked: CommandKind | None
    """A command that the worker has not taken yet."""
    by_people: bool
    """People answer its queries, so it can be labelled."""

    @property
    def gone(self) -> bool:
        """It should have a worker, and that worker is silent."""
        return self.state is RunState.RUNNING and not self.alive

    @property
    def word(self) -> str:
        """The state in a word or two."""
        return "worker gone" if self.gone else self.state.value

    @property
    def can_pause(self) -> bool:
        """Only a run that goes on, or is about to, can be paused."""
        return self.state in (RunState.RUNNING, RunState.WAITING)

    @property
    def can_resume(self) -> bool:
        """Whatever rests can go on from its last checkpoint."""
        return self.state in (RunState.PAUSED, RunState.STOPPED, RunState.FAILED)

    @property
    def can_stop(self) -> bool:
        """Anything not yet over can be stopped."""
        return self.state in (RunState.RUNNING, RunState.WAITING, RunState.PAUSED)


@dataclass(frozen=True)
class Labels:
    """How many answers there are, how fast they come, how many are still wanted."""

    done: int
    decided: int
    ties: int
    incomparable: int
    ready: int
    rendering: int
    leased: int
    set_aside: int
    per_minute: float
    budget: int
    by_people: bool

    @property
    def left(self) -> int:
        """Answers still wanted."""
        return max(0, self.budget - self.done)


@dataclass(frozen=True)
class Version:
    """One reward model: when it was fitted, on how much, how right it is."""

    version: int
    iteration: int
    steps: int
    preferences: int
    accuracy: float | None
    loss: float | None
    created_at: datetime


@dataclass(frozen=True)
class Video:
    """A video of the agent at one checkpoint."""

    checkpoint: int
    iteration: int
    steps: int
    created_at: datetime


@dataclass(frozen=True)
class TrialView:
    """A blind trial as far as it is answered.

    Attributes:
        share: of decided pairs, those won by the newer agent, with its Wilson interval; None
            before the first.
        untold: pairs of which nobody can tell.
        waiting: pairs that somebody will still be asked about.
    """

    older_steps: int
    newer_steps: int
    wins: int
    decided: int
    ties: int
    untold: int
    waiting: int
    share: tuple[float, float, float] | None


@dataclass(frozen=True)
class Adjustable:
    """What can be changed while a run goes on.

    Attributes:
        pending: changes that the learner has not taken up yet, in words.
        offered: whether the run asks anything at all and has not ended.
    """

    label_budget: int
    strategy: str
    pending: tuple[str, ...]
    offered: bool


@dataclass(frozen=True)
class Panels:
    """Everything on the page that moves, but for the curves."""

    standing: Standing
    labels: Labels
    versions: tuple[Version, ...]
    videos: tuple[Video, ...]
    happened: tuple[Mark, ...]
    """The newest first."""
    alarms: tuple[AlarmView, ...]
    settings: Adjustable
    trials: tuple[TrialView, ...]


@dataclass(frozen=True)
class Row:
    """A run in the overview."""

    standing: Standing
    answers: int
    budget: int
    returns: tuple[float, ...]
    """Return on unseen levels at each evaluation, thinned, oldest first."""
    interval: tuple[float, float] | None
    """The newest one's 95 % interval."""
    alarms: tuple[str, ...]
    """Those that nobody has acknowledged, by title."""
    created_at: datetime


def read_rows(s: Session, *, now: datetime) -> list[Row]:
    """All runs, newest first."""
    ringing = alarms.unacknowledged(s)
    return [
        _row(s, summary, ringing.get(summary.run.id, ()), now=now) for summary in runs.list_runs(s)
    ]


def _row(s: Session, summary: runs.RunSummary, ringing: Sequence[Alarm], *, now: datetime) -> Row:
    run = summary.run
    standing = read_standing(s, run=run, now=now)
    kinds = [*([SILENCE] if standing.gone else []), *(one.kind for one in ringing)]
    return Row(
        standing=standing,
        answers=summary.answers,
        budget=run.label_budget,
        returns=tuple(_curve(s, run.id, UNSEEN)),
        interval=_interval(s, run.id),
        alarms=tuple(alarms.TITLES.get(kind, kind) for kind in kinds),
        created_at=run.created_at,
    )


def _curve(s: Session, run_id: int, name: str) -> list[float]:
    found = metrics.series(s, run_id=run_id, names=[name], max_points=SPARKLINE_POINTS)
    return [value for _, value in found[name]]


def _interval(s: Session, run_id: int) -> tuple[float, float] | None:
    low, high = (_curve(s, run_id, name)[-1:] for name in UNSEEN_INTERVAL)
    return (low[0], high[0]) if low and high else None


def read_panels(s: Session, *, run: Run, now: datetime, marks: Sequence[Mark]) -> Panels:
    """All parts at one moment.

    Args:
        s: the session.
        run: the run.
        now: the moment.
        marks: what happened to the run, oldest first.
    """
    standing = read_standing(s, run=run, now=now)
    return Panels(
        standing=standing,
        labels=read_labels(s, run=run, now=now),
        versions=read_versions(s, run_id=run.id, limit=NEWEST_VERSIONS),
        videos=read_videos(s, run_id=run.id),
        happened=tuple(marks[: -NEWEST_MARKS - 1 : -1]),
        alarms=read_alarms(s, run=run, gone=standing.gone),
        settings=read_settings(s, run=run),
        trials=read_trials(s, run_id=run.id),
    )


def is_alive(heartbeat_at: datetime | None, now: datetime) -> bool:
    """Whether a worker was heard of lately; a time far ahead is that of a clock since set back."""
    return heartbeat_at is not None and abs(now - heartbeat_at) <= SILENT_AFTER


def is_gone(run: Run, now: datetime) -> bool:
    """Whether a run should have a worker, and that worker is silent."""
    return run.state is RunState.RUNNING and not is_alive(run.heartbeat_at, now)


def read_standing(s: Session, *, run: Run, now: datetime) -> Standing:
    """The first line of the page."""
    return Standing(
        name=run.name,
        environment=run.environment,
        goal=run.goal,
        state=run.state,
        alive=is_alive(run.heartbeat_at, now),
        activity=run.activity,
        iteration=run.iteration,
        steps=run.steps,
        total_steps=run.total_steps,
        steps_per_second=run.steps_per_second,
        heartbeat_at=run.heartbeat_at,
        ahead=run.heartbeat_at is not None and run.heartbeat_at > now + SILENT_AFTER,
        reason=run.reason,
        asked=pulses.command_awaited(s, run_id=run.id),
        by_people=labelled_by_people(run),
    )


def labelled_by_people(run: Run) -> bool:
    """Whether the run's config asks people; it is the default."""
    teacher = run.config.get("teacher", {})
    return not isinstance(teacher, dict) or teacher.get("kind", "person") == "person"


def read_labels(s: Session, *, run: Run, now: datetime) -> Labels:
    """The labels panel; the rate is that of the last five minutes."""
    counts = queries.counts(s, run_id=run.id, now=now)
    decided = counts.labels.get(Answer.A, 0) + counts.labels.get(Answer.B, 0)
    ties = counts.labels.get(Answer.TIE, 0)
    incomparable = counts.labels.get(Answer.INCOMPARABLE, 0)
    return Labels(
        done=decided + ties + incomparable,
        decided=decided,
        ties=ties,
        incomparable=incomparable,
        ready=counts.open,
        rendering=counts.pending,
        leased=counts.leased,
        set_aside=counts.set_aside,
        per_minute=per_minute(s, run_id=run.id, now=now),
        budget=run.label_budget,
        by_people=labelled_by_people(run),
    )


def read_trials(s: Session, *, run_id: int) -> tuple[TrialView, ...]:
    """The newest blind trials of a run's agents, the newest first."""
    found = trials.results(s, run_id=run_id)[: -NEWEST_TRIALS - 1 : -1]
    return tuple(
        TrialView(
            older_steps=one.older_steps,
            newer_steps=one.newer_steps,
            wins=one.wins,
            decided=one.decided,
            ties=one.ties,
            untold=one.untold,
            waiting=one.waiting,
            share=(one.wins / one.decided, *wilson(one.wins, one.decided)) if one.decided else None,
        )
        for one in found
    )


def read_settings(s: Session, *, run: Run) -> Adjustable:
    """What can be changed while a run goes on, as it stands."""
    rows = changes.list_changes(s, run_id=run.id)
    return Adjustable(
        label_budget=run.label_budget,
        strategy=changes.strategy_of(s, run=run),
        pending=tuple(changes.told(row) for row in rows if row.iteration is None),
        offered=run.state is not RunState.FINISHED and changes.asks(run),
    )


def read_versions(s: Session, *, run_id: int, limit: int | None = None) -> tuple[Version, ...]:
    """Reward-model versions, newest first."""
    rows = s.scalars(
        select(RewardModel)
        .where(RewardModel.run_id == run_id)
        .order_by(RewardModel.version.desc())
        .limit(limit)
    )
    return tuple(
        Version(
            version=row.version,
            iteration=row.iteration,
            steps=row.steps,
            preferences=row.preferences,
            accuracy=_metric(row, "accuracy_heldout"),
            loss=_metric(row, "loss_heldout"),
            created_at=row.created_at,
        )
        for row in rows
    )


def _metric(row: RewardModel, name: str) -> float | None:
    """One of a version's metrics, with or without its prefix; None if absent or not finite."""
    value = row.metrics.get(f"reward_model/{name}", row.metrics.get(name))
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read_videos(s: Session, *, run_id: int) -> tuple[Video, ...]:
    """The newest videos of the agent, newest first."""
    rows = s.scalars(
        select(Checkpoint)
        .where(Checkpoint.run_id == run_id, Checkpoint.video != "")
        .order_by(Checkpoint.iteration.desc())
        .limit(NEWEST_VIDEOS)
    )
    return tuple(
        Video(
            checkpoint=row.id,
            iteration=row.iteration,
            steps=row.steps,
            created_at=row.created_at,
        )
        for row in rows
    )

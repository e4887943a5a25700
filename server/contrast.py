"""What the comparison of some runs shows, on its page and in a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from server import comparison
from server.comparison import Band, Group, Interval, Point
from server.models import Checkpoint, Run
from server.store import alarms, labels, metrics

DEFAULT = "evaluation/return_test"
OFFERED = (
    DEFAULT,
    "evaluation/return_train",
    "rollout/ep_rew_mean",
    "evaluation/generalisation_gap",
    "evaluation/preference_accuracy",
    "reward_model/accuracy_heldout",
    "reward_model/accuracy_fresh",
    "reward_model/disagreement",
    "preferences/total",
    "time/fps",
)
"""Figures to choose from; any other can be named in the address."""

COLOURS = 8
"""Lines that are told apart by colour and dash; the ninth has the first one's again."""


@dataclass(frozen=True)
class Video:
    """A run's agent at the checkpoint next to a step; None of either where it has none."""

    run: str
    checkpoint: int | None
    steps: int | None


@dataclass(frozen=True)
class Column:
    """One run in the table.

    Attributes:
        final: the last value of the figure; None if it has none.
        seconds: of work; None if unknown.
        alarms: that hold and that nobody has acknowledged.
        config: by dotted keys, in words.
    """

    run: Run
    config: dict[str, str]
    final: float | None
    labels: int
    seconds: float | None
    alarms: int


@dataclass(frozen=True)
class Line:
    """A group's curve and figures.

    Attributes:
        style: of its line: g0, g1, ...
        band: mean curve.
        final: mean of the runs' last values; None where none has any.
        range: the least and the greatest.
    """

    group: Group
    style: str
    band: Band
    final: Interval | None
    range: tuple[float, float] | None


@dataclass(frozen=True)
class Aggregate:
    """A config over all seeds and environments, by runs' last values.

    Attributes:
        style: of its line; that of the group's curve where there is one environment.
        iqm: interquartile mean.
        mean: plain mean.
        profile: share of runs above each threshold, and its interval.
    """

    group: Group
    style: str
    iqm: Interval
    mean: Interval
    profile: tuple[list[float], list[float], list[float]]


@dataclass(frozen=True)
class Contrast:
    """Some runs side by side.

    Attributes:
        metric: the figure that is compared.
        lines: one per group of equal configs.
        aggregates: one per config whatever is played, of those that have the figure. Of several
            environments scores are put on one scale first (`comparison.to_unit`).
        columns: one per run.
        without: runs that have no such figure.
        differences: dotted keys of the configs, each with a value per group.
        environments: of the runs, with what differs in them; returns of several are not of one
            scale.
        thresholds: scores at which profiles are drawn.
        step: at which the videos are shown.
        steps: at which there are any.
        videos: one per run.
    """

    metric: str
    lines: list[Line]
    aggregates: list[Aggregate]
    columns: list[Column]
    without: list[str]
    differences: dict[str, list[str]]
    environments: list[str]
    thresholds: list[float]
    step: int | None
    steps: list[int]
    videos: list[Video]


def read_contrast(
    s: Session, *, rows: Sequence[Run], metric: str = DEFAULT, step: int | None = None
) -> Contrast:
    """Compare runs by a figure.

    Args:
        s: the session.
        rows: the runs, in the order in which they are shown.
        metric: the figure.
        step: of the videos; None = the latest that all have reached.
    """
    curves = {run.name: read_curve(s, run, metric) for run in rows}
    finals = {name: curve[-1][1] for name, curve in curves.items() if curve}
    configs = {run.name: _config(run) for run in rows}
    groups = comparison.grouped(configs)
    tasks = comparison.tasks_of(configs)
    environments = list(dict.fromkeys(tasks.values()))
    scores = finals if len(environments) < 2 else comparison.to_unit(finals, tasks)
    taus = comparison.thresholds(list(scores.values())) if scores else []
    ringing = alarms.unacknowledged(s)
    steps, videos, chosen = _videos(s, rows, step)
    return Contrast(
        metric=metric,
        lines=[_line(group, number, curves, finals) for number, group in enumerate(groups)],
        aggregates=[
            _aggregate(group, number, scores, tasks, taus)
            for number, group in enumerate(comparison.grouped(configs, within=False))
            if any(name in scores for name in group.runs)
        ],
        columns=[
            Column(
                run=run,
                config=configs[run.name],
                final=finals.get(run.name),
                labels=labels.count_labels(s, run_id=run.id),
                seconds=_newest(s, run, "time/time_elapsed"),
                alarms=len(ringing.get(run.id, ())),
            )
            for run in rows
        ],
        without=[name for name, curve in curves.items() if not curve],
        differences={
            key: [configs[group.runs[0]].get(key, comparison.ABSENT) for group in groups]
            for key in comparison.differing(configs)
        },
        environments=environments,
        thresholds=taus,
        step=chosen,
        steps=steps,
        videos=videos,
    )


def _line(
    group: Group, number: int, curves: dict[str, list[Point]], finals: dict[str, float]
) -> Line:
    scores = [finals[name] for name in group.runs if name in finals]
    return Line(
        group=group,
        style=f"g{number % COLOURS}",
        band=comparison.mean_curve([curves[name] for name in group.runs]),
        final=comparison.mean([scores]) if scores else None,
        range=(min(scores), max(scores)) if scores else None,
    )


def _aggregate(
    group: Group,
    number: int,
    scores: dict[str, float],
    tasks: dict[str, str],
    taus: list[float],
) -> Aggregate:
    by_task: dict[str, list[float]] = {}
    for name in group.runs:
        if name in scores:
            by_task.setdefault(tasks[name], []).append(scores[name])
    tasked = list(by_task.values())
    return Aggregate(
        group=group,
        style=f"g{number % COLOURS}",
        iqm=comparison.interquartile_mean(tasked),
        mean=comparison.mean(tasked),
        profile=comparison.profile(tasked, taus),
    )


def _config(run: Run) -> dict[str, str]:
    """The run's config in words; the environment stands for itself where there is no more."""
    flat = comparison.flatten(run.config)
    return flat if "environment.id" in flat else {"environment": run.environment} | flat


def read_curve(s: Session, run: Run, metric: str) -> list[Point]:
    """A run's curve, thinned if it is long."""
    return metrics.series(s, run_id=run.id, names=[metric])[metric]


def _newest(s: Session, run: Run, name: str) -> float | None:
    points = metrics.tails(s, run_id=run.id, names=[name], count=1)[name]
    return points[-1][1] if points else None


def _videos(
    s: Session, rows: Sequence[Run], step: int | None
) -> tuple[list[int], list[Video], int | None]:
    """The steps at which there are videos, each run's nearest to the one wanted, and that one."""
    found: dict[int, list[tuple[int, int]]] = {run.id: [] for run in rows}
    for run_id, steps, checkpoint in s.execute(
        select(Checkpoint.run_id, Checkpoint.steps, Checkpoint.id)
        .where(Checkpoint.run_id.in_(found), Checkpoint.video != "")
        .order_by(Checkpoint.steps)
    ):
        found[run_id].append((steps, checkpoint))
    offered = sorted({steps for ones in found.values() for steps, _ in ones})
    if not offered:
        return [], [], None
    if step is None:  # the latest that all have reached
        step = min(ones[-1][0] for ones in found.values() if ones)
    videos = []
    for run in rows:
        near = min(found[run.id], key=lambda one: abs(one[0] - step), default=None)
        videos.append(Video(run.name, near[1] if near else None, near[0] if near else None))
    return offered, videos, step

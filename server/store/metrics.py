"""Figures of a run, step by step: what the monitor draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise

from sqlalchemy import CTE, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from server.models import Metric

DROPPED = "metrics/not_finite"
STEPS = "time/total_timesteps"
"""Stored with every iteration, so it tells when each step was reached."""

Point = tuple[int, float]


def add_metrics(
    s: Session, *, run_id: int, step: int, values: Mapping[str, float], now: datetime
) -> int:
    """Store figures at a step; those stored there before give way (a resumed run repeats itself).

    Figures that are not finite are left out; how many is returned, and stored as
    `metrics/not_finite`.
    """
    finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
    dropped = len(values) - len(finite)
    if dropped:
        finite[DROPPED] = float(dropped)
    if not finite:
        return 0
    dialect = postgresql if s.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(Metric).values(
        [
            {"run_id": run_id, "name": name, "step": step, "value": value, "created_at": now}
            for name, value in finite.items()
        ]
    )
    s.execute(
        insert.on_conflict_do_update(
            index_elements=["run_id", "name", "step"],
            set_={"value": insert.excluded.value, "created_at": insert.excluded.created_at},
        )
    )
    return dropped


def latest(s: Session, *, run_id: int) -> dict[str, float]:
    """The newest value of every figure of a run.

    One look into the index per figure: a run has a few hundred of them, and millions of rows.
    """
    names = _names(run_id)
    newest = (
        select(Metric.value)
        .where(Metric.run_id == run_id, Metric.name == names.c.name)
        .order_by(Metric.step.desc())
        .limit(1)
        .correlate(names)
        .scalar_subquery()
    )
    found = select(names.c.name, newest).where(names.c.name.is_not(None))
    return dict(s.execute(found.order_by(names.c.name)).all())


def _names(run_id: int) -> CTE:
    """The names of a run's figures, each found in the index behind the one before; NULL ends it."""
    first = select(func.min(Metric.name).label("name")).where(Metric.run_id == run_id)
    names = first.cte("names", recursive=True)
    behind = (
        select(func.min(Metric.name))
        .where(Metric.run_id == run_id, Metric.name > names.c.name)
        .correlate(names)
        .scalar_subquery()
    )
    return names.union_all(select(behind).where(names.c.name.is_not(None)))


def tails(s: Session, *, run_id: int, names: Sequence[str], count: int) -> dict[str, list[Point]]:
    """The newest points of curves, at most `count` of each, in the order of steps."""
    found = {}
    for name in names:
        rows = s.execute(
            select(Metric.step, Metric.value)
            .where(Metric.run_id == run_id, Metric.name == name)
            .order_by(Metric.step.desc())
            .limit(count)
        ).all()
        found[name] = [(step, value) for step, value in reversed(rows)]
    return found


def times(s: Session, *, run_id: int, after_step: int | None = None) -> list[tuple[int, datetime]]:
    """When each step was stored, by steps."""
    wanted = select(Metric.step, Metric.created_at).where(
        Metric.run_id == run_id, Metric.name == STEPS
    )
    if after_step is not None:
        wanted = wanted.where(Metric.step > after_step)
    return [(step, at) for step, at in s.execute(wanted.order_by(Metric.step))]


def series(
    s: Session,
    *,
    run_id: int,
    names: Sequence[str],
    after_step: int | None = None,
    until_step: int | None = None,
    max_points: int = 1500,
) -> dict[str, list[Point]]:
    """Curves as (step, value) in the order of steps; each name has an entry.

    A curve of more than `max_points` is thinned so that its first, last, highest and lowest points
    and every peak and dip stay: of each stretch of points the lowest and the highest are kept.
    """
    wanted = select(Metric.name, Metric.step, Metric.value).where(
        Metric.run_id == run_id, Metric.name.in_(names)
    )
    if after_step is not None:
        wanted = wanted.where(Metric.step > after_step)
    if until_step is not None:
        wanted = wanted.where(Metric.step <= until_step)
    rows = s.execute(wanted.order_by(Metric.name, Metric.step))
    curves: dict[str, list[Point]] = {name: [] for name in names}
    for name, group in groupby(rows, key=lambda row: row[0]):
        curves[name] = thin([(step, value) for _, step, value in group], max_points)
    return curves


def thin(points: list[Point], max_points: int) -> list[Point]:
    """Keep at most `max_points` (4 or more): the ends, and each stretch's lowest and highest."""
    if len(points) <= max_points:
        return points
    inner = points[1:-1]
    stretches = max_points // 2 - 1
    bounds = [len(inner) * i // stretches for i in range(stretches + 1)]
    kept = [points[0]]
    for start, end in pairwise(bounds):
        kept.extend(_extremes(inner[start:end]))
    return [*kept, points[-1]]


def _extremes(points: list[Point]) -> Iterable[Point]:
    """The lowest and the highest point, in the order of steps; one if they are the same."""
    low = min(points, key=lambda point: point[1])
    high = max(points, key=lambda point: point[1])
    return sorted({low, high})

"""Figures of a run, step by step: what the monitor draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from server.models import Metric

DROPPED = "metrics/not_finite"

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
    """The newest value of every figure of a run."""
    newest = (
        select(Metric.name, func.max(Metric.step).label("step"))
        .where(Metric.run_id == run_id)
        .group_by(Metric.name)
        .subquery()
    )
    rows = s.execute(
        select(Metric.name, Metric.value)
        .join(newest, (newest.c.name == Metric.name) & (newest.c.step == Metric.step))
        .where(Metric.run_id == run_id)
        .order_by(Metric.name)
    )
    return dict(rows.all())


def series(
    s: Session,
    *,
    run_id: int,
    names: Sequence[str],
    after_step: int | None = None,
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

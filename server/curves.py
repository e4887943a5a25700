"""The curves of one run as its watchers have them: thinned, and how far each has been read.

A series is two columns, steps and values. A cursor says of each curve which step was the last that
a reader has; it travels as the id of an event, so that a reader who comes back gets the rest.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from server.charts import CURVES
from server.store import metrics
from server.store.marks import Clock

Columns = tuple[list[int], list[float]]
Series = dict[str, Columns]
Cursor = dict[str, int]

CLOCK = "clock/wall"
"""When each step was stored, in seconds since 1970: what charts over time go by."""

POINTS: Mapping[str, int] = {CLOCK: 1500, **CURVES}
"""Every curve that a run's page draws, and how many points of it a reader gets at most."""

CHUNK_POINTS = 1700
"""Points in one event, at most, if no curve alone has more: about 40 kB."""


@dataclass
class Curves:
    """All curves of a run, read once and then only what is new of them."""

    run_id: int
    cursor: Cursor = field(default_factory=dict)
    series: Series = field(default_factory=dict)

    def read(self, s: Session, names: Collection[str]) -> Series:
        """What is new of some curves, thinned where it is much; nothing is kept yet."""
        found: Series = {}
        if CLOCK in names:
            clock = read_clock(s, run_id=self.run_id, after_step=self.cursor.get(CLOCK))
            found[CLOCK] = thinned(CLOCK, (clock.steps, clock.times))
        behind: dict[int | None, list[str]] = {}
        for name in names:
            if name != CLOCK:
                behind.setdefault(self.cursor.get(name), []).append(name)
        for after, group in behind.items():
            rows = metrics.series(s, run_id=self.run_id, names=group, after_step=after)
            for name, points in rows.items():
                found[name] = columns(metrics.thin(points, POINTS[name]))
        return {name: one for name, one in found.items() if one[0]}

    def take(self, found: Series) -> None:
        """Keep what was read; a curve that has become long is thinned again."""
        for name, (steps, values) in found.items():
            known = self.series.setdefault(name, ([], []))
            known[0].extend(steps)
            known[1].extend(values)
            if len(known[0]) > 2 * POINTS[name]:
                self.series[name] = thinned(name, known)
        advance(self.cursor, found)

    def beyond(self, cursor: Cursor) -> Series:
        """What a reader at the cursor has not seen."""
        return {name: thinned(name, one) for name, one in beyond(cursor, self.series).items()}


def read_clock(s: Session, *, run_id: int, after_step: int | None = None) -> Clock:
    """When a run reached each step, in seconds since 1970."""
    moments = metrics.times(s, run_id=run_id, after_step=after_step)
    return Clock([step for step, _ in moments], [round(at.timestamp(), 1) for _, at in moments])


def thinned(name: str, one: Columns) -> Columns:
    """A curve with at most so many points as a reader gets; the same one if it has no more."""
    if len(one[0]) <= POINTS[name]:
        return one
    points = metrics.thin(list(zip(*one, strict=True)), POINTS[name])
    return [step for step, _ in points], [value for _, value in points]


def columns(points: list[metrics.Point]) -> Columns:
    """Points as two columns; six digits are more than a screen shows."""
    return [step for step, _ in points], [float(f"{value:.6g}") for _, value in points]


def chunks(series: Series) -> Iterator[Series]:
    """Curves in parts of at most `CHUNK_POINTS`, in the order of the page."""
    part: Series = {}
    size = 0
    for name in sorted(series, key=list(POINTS).index):
        count = len(series[name][0])
        if part and size + count > CHUNK_POINTS:
            yield part
            part, size = {}, 0
        part[name] = series[name]
        size += count
    if part:
        yield part


def advance(cursor: Cursor, series: Series) -> None:
    """Move the cursor to the newest point of each series."""
    for name, (steps, _) in series.items():
        cursor[name] = max(steps[-1], cursor.get(name, -1))


def beyond(cursor: Cursor, series: Series) -> Series:
    """The part of each series that a reader at the cursor has not seen."""
    found: Series = {}
    for name, (steps, values) in series.items():
        start = bisect_right(steps, cursor.get(name, -1))
        if start < len(steps):
            found[name] = (steps[start:], values[start:])
    return found


def write_cursor(cursor: Cursor) -> str:
    """The cursor as an event id: one step per curve, in the order of the page."""
    return ".".join(str(cursor.get(name, "")) for name in POINTS)


def read_cursor(text: str | None) -> Cursor | None:
    """The cursor of an event id; None if there is none, or it is not one of ours."""
    parts = (text or "").split(".")
    if len(parts) != len(POINTS):
        return None
    if not all(part == "" or (part.isascii() and part.isdigit()) for part in parts):
        return None
    return {name: int(part) for name, part in zip(POINTS, parts, strict=True) if part}

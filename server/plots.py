"""Plain pictures as SVG: places of points and curves in a box, ticks that people can read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 12, 34
_SAMPLES = 120
_TICKS = 6


@dataclass(frozen=True)
class Tick:
    """A value on an axis.

    Attributes:
        at: place in the picture.
        text: the value.
    """

    at: float
    text: str


@dataclass(frozen=True)
class Plot:
    """A picture whose lines and points have found their places.

    Attributes:
        dots: (x, y) of each point.
        curve: the points of a polyline; empty for none.
        ahead: the same for the part that is foretold.
    """

    dots: Sequence[tuple[float, float]]
    curve: str
    ahead: str
    x: Sequence[Tick]
    y: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    foot: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Curve:
    """A line to draw, with the interval around it.

    Attributes:
        style: which of the styles of groups.
        label: what it is of.
        x: ascending.
        middle, low, high: of each x; equal ends where there is no interval.
    """

    style: str
    label: str
    x: Sequence[float]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Drawn:
    """A curve that has found its place.

    Attributes:
        line: the points of a polyline.
        area: the points of the polygon between the ends of its interval; empty where it has none.
        dot: place of a curve of one point, which no line would show.
    """

    style: str
    label: str
    line: str
    area: str
    dot: tuple[float, float] | None


@dataclass(frozen=True)
class Curves:
    """A picture of several curves."""

    curves: Sequence[Drawn]
    x: Sequence[Tick]
    y: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    foot: int = HEIGHT - BOTTOM


def curves(
    lines: Sequence[Curve],
    *,
    across: Callable[[float], str],
    up: Callable[[float], str],
    between: tuple[float, float] | None = None,
) -> Curves | None:
    """Several curves in one box; None if there is not a point.

    Args:
        lines: in the order in which they are drawn.
        across: a value of the x axis in words.
        up: the same of the y axis.
        between: ends of the y axis; None = those of the curves and a little more.
    """
    known = [line for line in lines if len(line.x)]
    if not known:
        return None
    first, last = min(line.x[0] for line in known), max(line.x[-1] for line in known)
    least, most = between or _with_room(
        min(min(line.low) for line in known), max(max(line.high) for line in known)
    )

    def place(x: float, y: float) -> tuple[float, float]:
        width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        right = (x - first) / (last - first) if last > first else 0.5
        high = (y - least) / (most - least)
        return round(LEFT + width * right, 1), round(HEIGHT - BOTTOM - height * high, 1)

    return Curves(
        curves=[_drawn(line, place) for line in known],
        x=[Tick(place(x, least)[0], across(x)) for x in round_values(first, last)],
        y=[Tick(place(first, y)[1], up(y)) for y in round_values(least, most)],
    )


def round_values(low: float, high: float) -> list[float]:
    """A few round values from low to high; the value itself where they are one."""
    if not high > low:
        return [low]
    size = 10.0 ** math.floor(math.log10(high - low))
    steps = (size * share for share in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0))
    step = next(step for step in steps if (high - low) / step <= _TICKS)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{step * i:.12g}") for i in range(first, last + 1)]


def shares_by_count(
    points: Sequence[tuple[float, float]],
    curve: Callable[[float], float] | None,
    *,
    until: float,
) -> Plot:
    """Shares (0 to 1) against counts, with a curve through them that goes on to `until`.

    Args:
        points: (count, share).
        curve: expected share of a count; None for none.
        until: the largest count on the axis.
    """
    last = max((count for count, _ in points), default=0.0)
    first = min((count for count, _ in points), default=0.0)
    low = min(0.5, *(share for _, share in points)) if points else 0.5
    low = math.floor(10 * low) / 10

    def place(count: float, share: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * count / until
        up = (share - low) / (1.0 - low)
        return round(across, 1), round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1)

    def line(begin: float, end: float) -> str:
        if curve is None or end <= begin:
            return ""
        counts = [begin + (end - begin) * i / _SAMPLES for i in range(_SAMPLES + 1)]
        return " ".join("{},{}".format(*place(n, max(low, curve(n)))) for n in counts if n > 0)

    return Plot(
        dots=[place(*point) for point in points],
        curve=line(first, last),
        ahead=line(last, until),
        x=[Tick(place(n, low)[0], f"{n:,.0f}") for n in round_values(0, until) if n == int(n)],
        y=[Tick(place(0, share)[1], f"{share:.0%}") for share in _tenths(low)],
    )


def _drawn(line: Curve, place: Callable[[float, float], tuple[float, float]]) -> Drawn:
    points = [place(x, y) for x, y in zip(line.x, line.middle, strict=True)]
    area = ""
    if list(line.low) != list(line.high):
        there = [place(x, y) for x, y in zip(line.x, line.high, strict=True)]
        back = [place(x, y) for x, y in zip(line.x, line.low, strict=True)]
        area = _joined([*there, *reversed(back)])
    return Drawn(
        style=line.style,
        label=line.label,
        line=_joined(points),
        area=area,
        dot=points[0] if len(points) == 1 else None,
    )


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _with_room(least: float, most: float) -> tuple[float, float]:
    room = 0.05 * (most - least) or abs(most) / 10 or 1.0
    return least - room, most + room


def _tenths(low: float) -> list[float]:
    return [i / 10 for i in range(round(10 * low), 11, 1 if low >= 0.4 else 2)]

"""Numbers and times as pages write them; the browser's side is web/static/js/numbers.js."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

FILTERS: dict[str, Any] = {}


def _filter(function: Any) -> Any:
    FILTERS[function.__name__] = function
    return function


@_filter
def steps(count: int) -> str:
    """9,216, 983 k, 1.31 M."""
    if count < 10_000:
        return f"{count:,}"
    if count < 999_500:
        return f"{count / 1000:.0f} k"
    millions = f"{count / 1e6:.2f}" if count < 100e6 else f"{count / 1e6:.0f}"
    return (millions.rstrip("0").rstrip(".") if "." in millions else millions) + " M"


@_filter
def figure(value: float | None, kind: str = "number") -> str:
    """A metric's value; kind is number, percent or share (of 0 to 1), count; a dash for None."""
    if value is None:
        return "–"
    if kind == "percent":
        return f"{100 * value:.1f} %"
    if kind == "share":
        return f"{100 * value:.0f} %"
    size = abs(value)
    if kind == "count" or 1000 <= size < 1e6:
        return f"{value:,.0f}"
    if size >= 1e6:
        return f"{value / 1e6:.3g} M"
    if size >= 1:
        return f"{value:.0f}" if size >= 100 else f"{value:.2f}"
    return "0" if size == 0 else f"{value:.3g}"


def span(seconds: float) -> str:
    """12 s, 3 min, 2 h, 5 d."""
    seconds = max(0, round(seconds))
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 36 * 3600 else f"{seconds / 86400:.0f} d"


@_filter
def duration(seconds: float | None) -> str:
    """45 s, 12 min, 2 h 5 min, 3 d 4 h; a dash for None."""
    if seconds is None:
        return "–"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, left = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {left} min" if left else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"


@_filter
def ago(moment: datetime | None) -> Markup:
    """A `<time>` that reads "3 min ago", with the exact time on hover; kept true by times.js."""
    return _time(moment, "data-ago", " ago")


@_filter
def age(moment: datetime | None) -> Markup:
    """A `<time>` that reads "3 min"."""
    return _time(moment, "data-span", "")


def _time(moment: datetime | None, kind: str, suffix: str) -> Markup:
    if moment is None:
        return Markup("never")
    exact = moment.astimezone(UTC)
    text = span((datetime.now(UTC) - exact).total_seconds()) + suffix
    return Markup('<time datetime="{}" title="{}" {}>{}</time>').format(
        exact.isoformat(timespec="milliseconds"),
        exact.strftime("%Y-%m-%d %H:%M:%S UTC"),
        Markup(kind),
        text,
    )


@_filter
def sparkline(values: list[float], width: int = 96, height: int = 24) -> str:
    """The points of an SVG polyline through the values, scaled to the box."""
    if not values:
        return ""
    least, most = min(values), max(values)
    scale = (height - 4) / (most - least) if most > least else 0.0
    across = (width - 4) / max(1, len(values) - 1)
    return " ".join(
        f"{2 + i * across:.1f},{height - 2 - (value - least) * scale:.1f}"
        if scale
        else f"{2 + i * across:.1f},{height / 2:.1f}"
        for i, value in enumerate(values)
    )

"""The pictures of a comparison: mean curves with their intervals, and performance profiles."""

from __future__ import annotations

from server import plots
from server.contrast import Contrast
from server.formats import figure, steps


def mean_curves(contrast: Contrast) -> plots.Curves | None:
    """One line per group over steps; None where no run has the figure."""
    lines = [
        plots.Curve(
            style=line.style,
            label=line.group.label,
            x=line.band.steps,
            middle=line.band.mean,
            low=line.band.low,
            high=line.band.high,
        )
        for line in contrast.lines
    ]
    return plots.curves(lines, across=lambda step: steps(round(step)), up=_short)


def profiles(contrast: Contrast) -> plots.Curves | None:
    """Share of runs above each score, one line per config; None where no run has the figure."""
    lines = [
        plots.Curve(
            style=one.style,
            label=one.group.label,
            x=contrast.thresholds,
            middle=one.profile[0],
            low=one.profile[1],
            high=one.profile[2],
        )
        for one in contrast.aggregates
    ]
    return plots.curves(
        lines, across=_short, up=lambda share: figure(share, "share"), between=(0.0, 1.0)
    )


def _short(value: float) -> str:
    """A round value on an axis, without zeros that say nothing."""
    return steps(round(value)) if abs(value) >= 10_000 else f"{value:.4g}"

"""Pictures of several runs, as PNG: mean curves with their intervals."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

mpl.use("Agg")

_SIZE = (7.2, 4.2)
_COLOURS = ("#2f6fb2", "#b75a00", "#23744a", "#8a4fa3")
_DASHES = ("-", "--")
_CAPTION = 130  # characters in a line of the caption
_DIRECT = 3
"""Up to so many lines have their names at their ends; more have a legend."""


@dataclass(frozen=True)
class Stroke:
    """One line.

    Attributes:
        label: what it is of.
        x: (n,) ascending.
        middle, low, high: (n,) of each x; equal ends where there is no interval.
    """

    label: str
    x: Sequence[float]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def draw(
    strokes: Sequence[Stroke], *, across: str, up: str, caption: str, shares: bool = False
) -> bytes:
    """A PNG of lines with bands, in the colours of the pages.

    Args:
        strokes: in the order in which they are drawn.
        across: what the x axis is.
        up: what the y axis is.
        caption: runs, seeds, command: below the picture.
        shares: whether values are shares of 0 to 1 against scores, not scores against steps.
    """
    figure = Figure(_SIZE, layout="constrained")
    axes = figure.subplots()
    direct = len(strokes) <= _DIRECT
    for number, stroke in enumerate(strokes):
        colour = _COLOURS[number % len(_COLOURS)]
        dash = _DASHES[number // len(_COLOURS) % len(_DASHES)]
        mark = "o" if len(stroke.x) == 1 else ""
        axes.plot(stroke.x, stroke.middle, dash, marker=mark, color=colour, label=stroke.label)
        axes.fill_between(stroke.x, stroke.low, stroke.high, color=colour, alpha=0.14, lw=0)
        if direct and stroke.x:
            axes.annotate(
                stroke.label,
                (stroke.x[-1], stroke.middle[-1]),
                xytext=(5, 0),
                textcoords="offset points",
                color=colour,
                fontsize=8,
                va="center",
                annotation_clip=False,
            )
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color="#dde1e6", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if shares:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    if not direct:
        figure.legend(loc="outside upper left", fontsize=8, frameon=False)
    figure.supxlabel(
        textwrap.fill(caption, _CAPTION), x=0.01, ha="left", fontsize=7, color="#5d6672"
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()

"""The page of `experiments.coin`: its tables between the marks, its pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.marks import BLACK, BLUE, GREEN, ORANGE, fill
from experiments.scenes import Scene
from learner.evaluation.estimates import Estimate
from learner.study.cells import Cell

REACHED, DIED, NO_COIN, NO_WALL = BLUE, BLACK, ORANGE, GREEN
LINE = "#999999"
ABREAST = 3  # panels

Values = dict[str, Any]
Found = Mapping[Cell, Values]
"""By reward model of a study, `experiments.coin.findings`."""

_REMOVED = {
    "as it is": "as it is",
    "no coin": "coin taken away",
    "no wall": "wall taken away",
    "neither": "both",
    "wall cell": "one cell of the wall",
    "other cell": "one cell elsewhere",
    "verdict": "comes from",
}
_ADDED = {
    "as it is": "as it is",
    "coin": "coin put there",
    "wall": "wall put there",
    "both": "both",
    "verdict": "comes from",
}
_REGIONS = {name: name for name in ("coin", "wall's face", "wall within", "agent", "elsewhere")}


def tables(found: Found) -> list[str]:
    """Markdown: the end with parts taken away, elsewhere with parts put there, ends, saliency."""
    first = next(iter(found.values()))
    lines = _table(found, "removed", "Where a level ends: what is lost", _REMOVED)
    lines += _table(found, "added", "Far from the end: what is gained", _ADDED)
    ends = {kind: max(one.n for one in first[kind]) for kind in ("reached", "died")}
    lines += [
        f"### Before the coin ({ends['reached']} demonstrations) and before a death "
        f"({ends['died']})",
        "",
        "| reward model | coin, 10 steps before | coin, 1 step | death, 10 steps before "
        "| death, 1 step |",
        "|---|---|---|---|---|",
    ]
    for cell, one in found.items():
        cells = [_cell(one[kind][step]) for kind in ("reached", "died") for step in (9, 0)]
        lines.append(f"| {_named(cell)} | {' | '.join(cells)} |")
    title = "Occlusion saliency of a pixel, over that of the whole view's mean pixel"
    return [*lines, "", *_table(found, "salience", title, _REGIONS)]


def _table(found: Found, kind: str, title: str, columns: Mapping[str, str]) -> list[str]:
    shown = next(iter(found.values()))[kind]
    counts = [one.n for one in shown.values() if isinstance(one, Estimate)]
    lines = [
        f"### {title} ({max(counts)} demonstrations)",
        "",
        f"| reward model | {' | '.join(columns.values())} |",
        f"|{'---|' * (len(columns) + 1)}",
    ]
    for cell, one in found.items():
        cells = [_cell(one[kind][key]) for key in columns]
        lines.append(f"| {_named(cell)} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(value: Estimate | str) -> str:
    if isinstance(value, str):
        return f"**{value}**"
    return f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"


def _named(cell: Cell) -> str:
    """A reward model in the words of the page."""
    variant = "" if cell.variant == "plain" else f", {cell.variant}"
    seed = f", seed {cell.seed}" if cell.seed else ""
    return f"{cell.rule} of {cell.count}{variant}{seed}"


def draw_rewards(found: Found, path: Path) -> None:
    """Per reward model: the reward on the way to the coin, to a death, and without coin or wall."""
    rows = -(-len(found) // ABREAST)
    figure = Figure((2.9 * ABREAST, 1.9 * rows + 0.7), layout="constrained")
    for number, (cell, one) in enumerate(found.items()):
        axes = figure.add_subplot(rows, ABREAST, number + 1)
        _draw_line(axes, one["reached"], REACHED, "coin at 0", band=True)
        _draw_line(axes, one["without"]["no coin"], NO_COIN, "the same without the coin")
        _draw_line(axes, one["without"]["no wall"], NO_WALL, "the same without the wall")
        _draw_line(axes, one["died"], DIED, "death at 0", band=True)
        axes.axhline(0, color=LINE, lw=0.8)
        axes.set_title(_named(cell), fontsize="small")
        axes.tick_params(labelsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.supxlabel("steps from the end", fontsize="small")
    figure.supylabel("reward, standard deviations", fontsize="small")
    figure.savefig(path, dpi=85)


def _draw_line(
    axes: Axes, steps: Sequence[Estimate], colour: str, label: str, *, band: bool = False
) -> None:
    """A mean by steps before the end, where at least ten demonstrations show it."""
    known = [(-before, one) for before, one in enumerate(steps, start=1) if one.n >= 10]
    x, shown = [before for before, _ in known], [one for _, one in known]
    axes.plot(x, [one.value for one in shown], color=colour, label=label)
    if band:
        low, high = [one.low for one in shown], [one.high for one in shown]
        axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)


def draw_frames(
    end: Scene, elsewhere: Scene, heat: Mapping[Cell, NDArray[np.floating[Any]]], path: Path
) -> None:
    """A step near the end and one far from it with what was changed; where rewards look.

    Args:
        end: of its last step.
        elsewhere: of its last step.
        heat: by reward model, (64, 64) occlusion saliency of the end as it is.
        path: of the picture.
    """
    rows = [
        [(name, end.frames[name][-1]) for name in ("as it is", "no coin", "no wall", "neither")],
        [(name, elsewhere.frames[name][-1]) for name in ("as it is", "coin", "wall", "both")],
    ]
    across = max(4, len(heat))
    figure = Figure((1.5 * across, 5.0), layout="constrained")
    for number, row in enumerate(rows):
        for column, (name, frame) in enumerate(row):
            _picture(figure, (3, across, number * across + column + 1), name, frame)
    for column, (cell, values) in enumerate(heat.items()):
        place = (3, across, 2 * across + column + 1)
        axes = _picture(figure, place, _named(cell), end.frames["as it is"][-1])
        axes.imshow(values, cmap="hot", alpha=0.75, vmin=0)
    figure.savefig(path, dpi=85)


def _picture(
    figure: Figure, place: tuple[int, int, int], title: str, frame: NDArray[np.uint8]
) -> Axes:
    axes = figure.add_subplot(*place)
    axes.imshow(frame)
    axes.set_title(title.replace(", ", ",\n"), fontsize="small")
    axes.set_axis_off()
    return axes


def write(page: Path, found: Found) -> None:
    """Draw the rewards, and put the tables between the marks of the page."""
    draw_rewards(found, page.with_name(f"{page.stem}-rewards.png"))
    fill(page, "coin", tables(found))

"""Turns what `experiments.grid` kept into pages: a table, a picture of the curves, the commands.

    python -m experiments.tables [experiments/grids/mujoco.yaml ...]

Writes docs/results/NAME.md and NAME.png; cells that are not finished are left out and named.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.grid import Cell, Grid, cells, read_grid
from learner.evaluation.returns import mean_return

PAGES = Path("docs/results")
POINTS = 60
# Readable by people who do not tell colours apart (Okabe and Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@dataclass(frozen=True)
class Column:
    """The finished seeds of one variant of one task."""

    outcomes: tuple[dict[str, Any], ...]
    figure: str

    @property
    def values(self) -> NDArray[np.float64]:
        """(seeds,) the compared figure."""
        return np.array([one["figures"][self.figure]["value"] for one in self.outcomes])

    @property
    def text(self) -> str:
        """Mean and 95 % interval over seeds."""
        if not self.outcomes:
            return "–"
        found = mean_return(self.values, rng=np.random.default_rng(0))
        if found.n == 1:
            return f"{found.value:,.1f} (1 seed)"
        return f"{found.value:,.1f} ({found.low:,.1f} to {found.high:,.1f})"


def collect(path: Path, grid: Grid) -> dict[tuple[str, str], Column]:
    """Finished cells by task and variant."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells(path):
        rows = found.setdefault((cell.task, cell.variant), [])
        if cell.finished():
            rows.append(json.loads(cell.outcome.read_text()))
    return {key: Column(tuple(rows), grid.figure) for key, rows in found.items()}


def table(grid: Grid, columns: dict[tuple[str, str], Column]) -> list[str]:
    """Markdown rows, one per task and variant."""
    lines = [
        f"| task | variant | {grid.figure}: mean (95 %) | / {grid.baseline} "
        "| labels | seeds | minutes a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for (task, variant), column in columns.items():
        base = columns[task, grid.baseline]
        if not column.outcomes:
            continue
        ratio = "–"
        if base.outcomes and variant != grid.baseline:
            ratio = f"{column.values.mean() / base.values.mean():.2f}"
        labels = max(one["labels"] for one in column.outcomes)
        minutes = np.mean([one["seconds"] for one in column.outcomes]) / 60
        lines.append(
            f"| {task} | {variant} | {column.text} | {ratio} | {labels:,} "
            f"| {len(column.outcomes)} | {minutes:.0f} |"
        )
    return lines


def draw(path: Path, grid: Grid, columns: dict[tuple[str, str], Column]) -> None:
    """One panel per task: means over seeds, shaded from the lowest to the highest seed."""
    figure = Figure(figsize=(4.6 * len(grid.tasks) + 0.6, 3.8), layout="constrained")
    for place, task in enumerate(grid.tasks):
        axes = figure.add_subplot(1, len(grid.tasks), place + 1)
        for colour, variant in zip(COLOURS, grid.variants, strict=False):
            curves = [one["curves"][grid.curve] for one in columns[task, variant].outcomes]
            _draw_curves(axes, [c for c in curves if c], f"{variant} ({len(curves)})", colour)
        axes.set(title=task, xlabel="steps")
        axes.spines[["top", "right"]].set_visible(False)
        axes.ticklabel_format(axis="x", style="sci", scilimits=(3, 3))
        if place == 0:
            axes.set_ylabel("true return in training, last 100 episodes")
            axes.legend(frameon=False, fontsize="small", title="variant (seeds)")
    figure.savefig(path, dpi=130)


def _draw_curves(axes: Axes, curves: list[list[list[float]]], label: str, colour: str) -> None:
    if not curves:
        return
    points = [np.array(curve).T for curve in curves]
    steps = np.linspace(max(x[0] for x, _ in points), min(x[-1] for x, _ in points), POINTS)
    values = np.stack([np.interp(steps, x, y) for x, y in points])  # (seeds, POINTS)
    axes.plot(steps, values.mean(axis=0), color=colour, label=label)
    axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15)


def page(path: Path) -> Path:
    """Write the page of one grid."""
    grid = read_grid(path)
    columns = collect(path, grid)
    missing = [cell.name for cell in cells(path) if not cell.finished()]
    first = next(cells(path))
    lines = [
        f"# {grid.title}",
        "",
        *table(grid, columns),
        "",
        f"![Curves]({path.stem}.png)",
        "",
        "Intervals are bootstrapped over seeds; the figure of a run is the mean over "
        f"{first.values.evaluation.episodes} episodes of its last agent. In the picture the shade "
        "reaches from the lowest to the highest seed.",
        "",
        f"Not finished: {', '.join(missing) or 'none'}.",
        "",
        "## Commands",
        "",
        f"All: `python -m experiments.grid {path}`, then `python -m experiments.tables {path}`; "
        f"results with their configs are in `docs/results/data/{path.stem}/`. One by one:",
        "",
        "```sh",
        *(_commands(path)),
        "```",
    ]
    PAGES.mkdir(parents=True, exist_ok=True)
    draw(PAGES / f"{path.stem}.png", grid, columns)
    written = PAGES / f"{path.stem}.md"
    notes = PAGES / f"{path.stem}-notes.md"
    text = "\n".join(lines) + "\n"
    if notes.exists():  # what people wrote about the figures stays when they are drawn anew
        text += "\n" + notes.read_text()
    written.write_text(text)
    return written


def _commands(path: Path) -> list[str]:
    """The command of each task and variant, at its first seed."""
    seen: dict[tuple[str, str], Cell] = {}
    for cell in cells(path):
        seen.setdefault((cell.task, cell.variant), cell)
    return [" ".join(("clipwise", *cell.command)) for cell in seen.values()]


def main() -> None:
    """Write the pages of the grids named, or of all."""
    paths = [Path(one) for one in sys.argv[1:]] or sorted(Path("experiments/grids").glob("*.yaml"))
    for path in paths:
        print(page(path))


if __name__ == "__main__":
    main()

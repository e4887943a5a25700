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

from experiments.grid import Cell, Grid, cells, read_grid
from experiments.marks import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from learner.evaluation.estimates import Estimate
from learner.evaluation.procgen_scores import RANGES, normalised_score, official_score
from learner.evaluation.returns import mean_over_runs, ratio_over_runs

PAGES = Path("docs/results")
POINTS = 60
UNTRAINED = "evaluation/return_test"
"""Its first value, in a run that learns its reward, is that of an agent which has not learned."""

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)


@dataclass(frozen=True)
class Column:
    """The finished seeds of one variant of one task."""

    outcomes: tuple[dict[str, Any], ...]
    figure: str

    @property
    def values(self) -> dict[int, float]:
        """The compared figure by seed."""
        return {one["seed"]: one["figures"][self.figure]["value"] for one in self.outcomes}

    @property
    def untrained(self) -> list[float]:
        """Scores of the agents before they learned: the reward model's come after that score."""
        return [
            one["curves"][UNTRAINED][0][1]
            for one in self.outcomes
            if one["config"]["agent"]["reward"] == "learned" and one["curves"].get(UNTRAINED)
        ]


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
    official = any(_official(column) for column in columns.values())
    lines = [
        f"| task | variant | {grid.figure}: mean (95 %) | / {grid.baseline} (95 %) "
        f"| gain over the untrained agent / {grid.baseline}'s (95 %) "
        + "| normalised | official PPO at these steps " * official
        + "| labels | seeds | minutes a run |",
        "|---|---|---|---|---|" + "---|---|" * official + "---|---|---|",
    ]
    for (task, variant), column in columns.items():
        if not column.outcomes:
            continue
        floors = [
            one for (of, _), other in columns.items() if of == task for one in other.untrained
        ]
        compared = _compared(column, columns[task, grid.baseline], floors)
        if variant == grid.baseline:
            compared = ["–", "–"]
        labels = max(one["labels"] for one in column.outcomes)
        minutes = np.mean([one["seconds"] for one in column.outcomes]) / 60
        row = [task, variant, _text(mean_over_runs([*column.values.values()]), "{:,.1f}")]
        row += compared
        if official:
            row += _official(column) or ["–", "–"]
        row += [f"{labels:,}", str(len(column.outcomes)), f"{minutes:.0f}"]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def ordering(grid: Grid, columns: dict[tuple[str, str], Column]) -> list[str]:
    """For each task one line: its variants by their means, and which differ from the baseline.

    The difference is taken seed by seed, with Student's interval.
    """
    lines = []
    for task in grid.tasks:
        own = {variant: one for (of, variant), one in columns.items() if of == task and one.values}
        if grid.baseline not in own or len(own) < 2 or len(own[grid.baseline].values) < 2:
            continue  # one seed orders nothing
        ranked = sorted(own, key=lambda name: -float(np.mean([*own[name].values.values()])))
        base, apart = own[grid.baseline].values, []
        for variant in ranked:
            pairs = [
                value - base[seed] for seed, value in own[variant].values.items() if seed in base
            ]
            gap = mean_over_runs(pairs)
            if variant != grid.baseline and (gap.low > 0 or gap.high < 0):
                apart.append(f"{variant} ({_text(gap, '{:+,.0f}')})")
        told = "; ".join(apart) or "none"
        lines.append(
            f"- **{task}**, the best first: {', '.join(ranked)}. Differs from {grid.baseline}, "
            f"seed by seed (95 %): {told}."
        )
    return lines


def _compared(column: Column, base: Column, floors: list[float]) -> list[str]:
    """Ratio of returns and of gains over the untrained agent, over the seeds that both have."""
    seeds = sorted(set(column.values) & set(base.values))
    values = np.array([column.values[seed] for seed in seeds])
    bases = np.array([base.values[seed] for seed in seeds])
    if not seeds:
        return ["–", "–"]
    # A ratio of returns means nothing where these can be negative.
    positive = min(values.min(), bases.min()) > 0
    ratio = _text(ratio_over_runs(values, bases), "{:.2f}") if positive else "–"
    if not floors or bases.mean() == (floor := float(np.mean(floors))):
        return [ratio, "–"]
    return [ratio, _text(ratio_over_runs(values - floor, bases - floor), "{:.2f}")]


def _official(column: Column) -> list[str]:
    """Mean normalised return (Cobbe et al. 2020) and the official curve's; none elsewhere."""
    if not column.outcomes:
        return []
    environment = column.outcomes[0]["config"]["environment"]
    game, mode = environment["id"].removeprefix("procgen/"), environment["distribution_mode"]
    procgen = environment["id"].startswith("procgen/") and game in RANGES
    if not procgen or mode not in ("easy", "hard"):
        return []
    mean = float(np.mean([*column.values.values()]))
    curve = None
    if mode == "easy" and environment["num_levels"] == 200:
        curve = official_score("easy-200", game, "test", column.outcomes[0]["steps"])
    return [f"{normalised_score(game, mode, mean):.2f}", "–" if curve is None else f"{curve:.1f}"]


def _text(found: Estimate, style: str) -> str:
    """A figure with its interval over seeds."""
    value = style.format(found.value)
    if found.n == 1:
        return f"{value} (1 seed)"
    if not np.isfinite(found.low):
        return f"{value} (unbounded)"
    return f"{value} ({style.format(found.low)} to {style.format(found.high)})"


def draw(path: Path, grid: Grid, columns: dict[tuple[str, str], Column]) -> None:
    """One panel per task that has results: means over seeds, shaded over their 95 % intervals."""
    begun = {task for (task, _), column in columns.items() if column.outcomes}
    tasks = [task for task in grid.tasks if task in begun]
    figure = Figure(figsize=(4.6 * len(tasks) + 0.6, 3.8), layout="constrained")
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(1, len(tasks), place + 1)
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
    if len(values) > 1:
        found = [mean_over_runs(column) for column in values.T]
        low, high = [one.low for one in found], [one.high for one in found]
        axes.fill_between(steps, low, high, color=colour, alpha=0.15)


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
        *ordering(grid, columns),
        "",
        f"![Curves]({path.stem}.png)",
        "",
        "Intervals are Student's over seeds, of ratios Fieller's over seeds that both have; the "
        f"figure of a run is the mean over {first.values.evaluation.episodes} episodes of its last "
        "agent. The untrained agent is that of the same runs before their first fit. In the "
        "picture the shade is the 95 % interval of the mean.",
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

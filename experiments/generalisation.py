"""Turns what studies found into the tables and pictures of docs/results/generalisation.md.

    python -m experiments.generalisation [var/studies/NAME ...]

Keeps what the page needs of each study named in docs/results/data/generalisation/, then draws
everything that is kept there: pictures beside the page, tables between its two marks. What people
wrote around the marks stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PAGE = Path("docs/results/generalisation.md")
KEPT = Path("docs/results/data/generalisation")
BEGIN = "<!-- tables: python -m experiments.generalisation -->"
END = "<!-- end of tables -->"
COLUMNS = {
    "clock": "clock",
    "honest": "honest",
    "own": "own",
    "true": "true",
    "whole": "whole",
    "rho_t": "ρt",
    "spearman": "raw",
    "spearman_centred": "centred",
    "spearman_ranked": "ranked",
    "spearman_given_length": "partial",
}
RULES = ("paper_atari", "paper_mujoco", "time_aligned", "true_labels")
# Readable by people who do not tell colours apart (Okabe and Ito 2008).
CLOCK, OWN, TRUE, LINE = "#000000", "#D55E00", "#0072B2", "#999999"

Values = dict[str, Any]


def keep(folder: Path) -> Path:
    """Keep what the page needs of a finished study's results."""
    found = json.loads((folder / "results.json").read_text())
    kept = {name: found[name] for name in ("study", "table", "agents", "problems")}
    kept["demonstrations"] = {
        game: _described(one["demonstrations"]) for game, one in found["baselines"].items()
    }
    path = KEPT / f"{folder.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return path


def _described(entries: Sequence[Values]) -> Values:
    """What test demonstrations are: how many, quartiles of their returns and lengths."""
    quarters = [0, 0.25, 0.5, 0.75, 1]
    return {
        "count": len(entries),
        "returns": np.quantile([one["true_return"] for one in entries], quarters).tolist(),
        "lengths": np.quantile([one["length"] for one in entries], quarters).tolist(),
    }


def tables(studies: Sequence[Values]) -> list[str]:
    """Markdown: per game of each study what was run, the rules, the agents."""
    lines: list[str] = []
    for study in studies:
        for game, rows in study["table"].items():
            lines += [f"### {game} ({study['study']['name']})", "", _run(study, game), ""]
            lines += _rules(rows)
            lines += _agents([one for one in study["agents"] if one["agent"]["game"] == game])
    return lines


def _run(study: Values, game: str) -> str:
    config, shown = study["study"], study["demonstrations"][game]
    returns = ", ".join(f"{value:g}" for value in shown["returns"])
    lengths = ", ".join(f"{value:.0f}" for value in shown["lengths"])
    return (
        f"Experts {config['experts']['total_steps']:,} steps, "
        f"{config['experts']['checkpoints']} checkpoints; {config['demonstrations']['train']} "
        f"demonstrations to learn from, {shown['count']} to judge by: quartiles of return "
        f"{returns}; of length {lengths}."
    )


def _rules(rows: Sequence[Values]) -> list[str]:
    """The table of rules and baselines; ⚠ where a clock wins on the rule's own pairs."""
    lines = [
        "| rule | demos | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (2 + len(COLUMNS)) + "|",
    ]
    for row in rows:
        cells = [_cell(row, key) for key in COLUMNS]
        lines.append(f"| {row['name']} | {row['demonstrations']} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(row: Values, key: str) -> str:
    value = row.get(key)
    if value is None:
        return "–"
    mark = "⚠ " if key in ("clock", "own") and row["warning"] else ""
    bounds = row.get(f"{key}_interval")
    return f"{mark}{value:.2f}" + (f" ({bounds[0]:.2f} to {bounds[1]:.2f})" if bounds else "")


def _agents(agents: Sequence[Values]) -> list[str]:
    if not agents:
        return []
    lines = [
        "| agent paid | steps | train levels (95 %) | unseen levels (95 %) | steps an episode |",
        "|---|---|---|---|---|",
    ]
    for one in agents:
        scores = [
            f"{one[split]['value']:.2f} ({one[split]['low']:.2f} to {one[split]['high']:.2f})"
            for split in ("train", "test")
        ]
        steps = f"{one['lengths'][1]:.0f}" if one.get("lengths") else "–"
        lines.append(f"| {agent_name(one)} | {one['steps']:,} | {' | '.join(scores)} | {steps} |")
    return [*lines, ""]


def agent_name(one: Values) -> str:
    """What an agent was paid, in words."""
    names = {
        "plus_one": "constant +1",
        "minus_one": "constant -1",
        "true": "true reward",
        "best_checkpoint": "nothing: best checkpoint of the demonstrations",
    }
    agent = one["agent"]
    if agent["cell"] is None:
        return f"{names[agent['control']]}, seed {agent['seed']}"
    cell = agent["cell"]
    variant = "" if cell["variant"] == "plain" else f", {cell['variant']}"
    return f"learned, {cell['rule']} of {cell['count']}{variant}, seed {agent['seed']}"


def draw_accuracy(studies: Sequence[Values], path: Path) -> None:
    """Per game and rule: a clock on the rule's own pairs, the model on them, and on true labels."""

    def panel(axes: Axes, rows: Sequence[Values]) -> None:
        for place, row in enumerate(rows):
            axes.plot(row["clock"], place, "x", color=CLOCK)
            axes.plot(row["own"], place, "o", color=OWN, mfc="none")
            axes.plot(row["true"], place, "o", color=TRUE)
            axes.plot(row["true_interval"], [place, place], color=TRUE)
        axes.axvline(0.5, color=LINE, lw=0.8, ls="--")
        axes.set(xlim=(0.4, 1.02), xlabel="accuracy")

    figure = _panels(studies, panel)
    first = figure.axes[0]
    first.plot([], [], "x", color=CLOCK, label="clock, own pairs")
    first.plot([], [], "o", color=OWN, mfc="none", label="model, own pairs")
    first.plot([], [], "o", color=TRUE, label="model, true labels")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    figure.savefig(path, dpi=100)


def draw_correlation(studies: Sequence[Values], path: Path) -> None:
    """Per game and rule: partial Spearman given length with its interval; length alone, raw."""

    def panel(axes: Axes, rows: Sequence[Values]) -> None:
        for place, row in enumerate(rows):
            axes.plot(row["spearman_given_length"], place, "o", color=TRUE)
            axes.plot(row["spearman_given_length_interval"], [place, place], color=TRUE)
            axes.plot(row["spearman"], place, "o", color=OWN, mfc="none")
        axes.axvline(0, color=LINE, lw=0.8, ls="--")
        axes.set(xlim=(-0.65, 1.02), xlabel="Spearman with true return")

    figure = _panels(studies, panel)
    figure.axes[0].plot([], [], "o", color=TRUE, label="partial, given length")
    figure.axes[0].plot([], [], "o", color=OWN, mfc="none", label="raw")
    figure.axes[0].plot([], [], color=LINE, ls=":", label="episode length alone, raw")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    baselines = [
        next(row for row in rows if row["name"] == "baseline: length")["spearman"]
        for study in studies
        for rows in study["table"].values()
    ]
    for axes, value in zip(figure.axes, baselines, strict=True):
        axes.axvline(value, color=LINE, ls=":")
    figure.savefig(path, dpi=100)


def _panels(studies: Sequence[Values], panel: Any) -> Figure:
    """A panel per game of each study: a line per rule, at the largest count."""
    games = [(game, rows) for study in studies for game, rows in study["table"].items()]
    figure = Figure((2.6 * len(games) + 1, 2.9), layout="constrained")
    for place, (game, rows) in enumerate(games):
        axes = figure.add_subplot(1, len(games), place + 1)
        named = {rule: [row for row in rows if row["name"] == rule] for rule in RULES}
        shown = [found[-1] for found in named.values() if found]
        panel(axes, shown)
        labels = [row["name"] for row in shown] if place == 0 else [""] * len(shown)
        axes.set_yticks(range(len(shown)), labels)
        axes.invert_yaxis()
        axes.set_title(f"{game}, {shown[-1]['demonstrations']} demos", fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def write_page(studies: Sequence[Values]) -> None:
    """Draw the pictures and put the tables between the marks of the page."""
    draw_accuracy(studies, PAGE.with_name("generalisation-accuracy.png"))
    draw_correlation(studies, PAGE.with_name("generalisation-returns.png"))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    made = "\n".join([BEGIN, "", *tables(studies), END])
    PAGE.write_text(before + made + after)


def main() -> None:
    """Keep the studies named, then write the page."""
    for folder in sys.argv[1:]:
        print(keep(Path(folder)))
    write_page([json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))])
    print(PAGE)


if __name__ == "__main__":
    main()

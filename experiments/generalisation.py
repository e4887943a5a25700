"""Turns what studies found into the tables and pictures of docs/results/generalisation.md.

    python -m experiments.generalisation [var/studies/NAME ...]

Keeps what the page needs of each study named in docs/results/data/generalisation/, then draws
everything that is kept there: pictures beside the page, tables between its two marks. What people
wrote around the marks stays.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.marks import BLACK, BLUE, GREEN, ORANGE, VERMILION, fill
from learner.study.loading import load_any_study

PAGE = Path("docs/results/generalisation.md")
KEPT = Path("docs/results/data/generalisation")
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
    "pearson_given_length": "r partial",
    "fit_loss": "loss",
    "fit_loss_heldout": "loss held out",
    "fit_accuracy": "fit",
    "fit_accuracy_heldout": "fit held out",
}
RULES = ("paper_atari", "paper_mujoco", "time_aligned", "true_labels")
CLOCK, OWN, TRUE, LINE = BLACK, VERMILION, BLUE, "#999999"

COLOURS = (VERMILION, ORANGE, BLUE, GREEN)  # of the rules
EVENTS = (1.0, -4.0)  # true rewards in FruitBot that are frequent enough to average over
ABREAST = 3  # panels

Values = dict[str, Any]
Placed = Sequence[tuple[int, Values]]
"""Rows of a table, each with the line of the picture where it goes."""


def keep(folder: Path) -> Path:
    """Keep what the page needs of a finished study's results."""
    found = json.loads((folder / "results.json").read_text())
    kept = {name: found[name] for name in ("study", "table", "agents", "problems")}
    kept["demonstrations"] = {
        game: _described(one["demonstrations"]) for game, one in found["baselines"].items()
    }
    kept["events"] = _events(found["cells"])
    path = KEPT / f"{folder.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return path


def _events(cells: Sequence[Values]) -> dict[str, Values]:
    """Per rule, what FruitBot's model of most demonstrations gave around true rewards."""
    plain = [one for one in cells if one["cell"]["variant"] == "plain" and one["cell"]["seed"] == 0]
    found = sorted(plain, key=lambda one: int(one["cell"]["count"]))
    return {
        one["cell"]["rule"]: one["figures"]["events"]
        for one in found
        if one["cell"]["game"] == "fruitbot"
    }


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
        lines += [f"## {study['study']['name']}", "", f"    {command(study['study'])}", ""]
        for game, rows in study["table"].items():
            lines += [f"### {game} ({study['study']['name']})", "", _run(study, game), ""]
            lines += _rules(rows)
            lines += _agents([one for one in study["agents"] if one["agent"]["game"] == game])
        lines += [f"- {name}: {problem}" for name, problem in study["problems"].items()]
        lines += [""] if study["problems"] else []
    return lines


def command(config: Values) -> str:
    """What runs a study: its file, and what was set otherwise than it says now."""
    path = Path("experiments") / f"{config['name']}.yaml"
    given = load_any_study(path).model_dump(mode="json")
    words = ["clipwise", "study", str(path), *_overrides(config, given)]
    return " ".join(shlex.quote(word) for word in words)


def _overrides(config: Values, given: Values, prefix: str = "") -> list[str]:
    """KEY=VALUE of what differs; where a study runs says nothing about what it found."""
    found: list[str] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(given.get(key), dict):
            found += _overrides(value, given[key], f"{name}.")
        elif value != given.get(key) and not name.startswith(("executor.", "threads")):
            said = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            found.append(f"{name}={said}")
    return found


def _run(study: Values, game: str) -> str:
    config, shown = study["study"], study["demonstrations"][game]
    returns = ", ".join(f"{value:g}" for value in shown["returns"])
    lengths = ", ".join(f"{value:.0f}" for value in shown["lengths"])
    return (
        f"Experts {config['experts']['total_steps']:,} steps, "
        f"{config['experts']['checkpoints']} checkpoints; {config['demonstrations']['train']} "
        f"demonstrations to learn from, {shown['count']} to judge by: quartiles of return "
        f"{returns}; of length {lengths}. {_count(config['sweep']['seeds'], 'seed')} a row."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _rules(rows: Sequence[Values]) -> list[str]:
    """The table of rules and baselines, as far as it is known; ⚠ where a clock wins own pairs."""
    known = [key for key in COLUMNS if any(row.get(key) is not None for row in rows)]
    lines = [
        "| rule | demos | " + " | ".join(COLUMNS[key] for key in known) + " |",
        "|---" * (2 + len(known)) + "|",
    ]
    for row in rows:
        cells = [_cell(row, key) for key in known]
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

    def panel(axes: Axes, rows: Placed) -> None:
        for place, row in rows:
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

    def panel(axes: Axes, rows: Placed) -> None:
        for place, row in rows:
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


def draw_events(studies: Sequence[Values], path: Path) -> None:
    """FruitBot: mean reward around fruit and bad food; a row per study, a line per rule."""
    shown = [one for one in studies if one["events"]]
    figure = Figure((3.6 * len(EVENTS) + 1, 2.3 * len(shown) + 0.4), layout="constrained")
    for row, study in enumerate(shown):
        for column, kind in enumerate(EVENTS):
            axes = figure.add_subplot(len(shown), len(EVENTS), row * len(EVENTS) + column + 1)
            for colour, rule in zip(COLOURS, RULES, strict=True):
                _draw_event(axes, study["events"].get(rule, []), kind, colour, rule)
            axes.axhline(0, color=LINE, lw=0.8)
            axes.axvline(0, color=LINE, lw=0.8)
            axes.set_title(f"true reward {kind:+g} at 0{_looks(study)}", fontsize="medium")
            axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("steps from the event", fontsize="small")
    figure.supylabel("predicted, less that of quiet steps", fontsize="small")
    if figure.axes:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=90)


def _draw_event(axes: Axes, events: Sequence[Values], kind: float, colour: str, rule: str) -> None:
    """The mean with its band over events, if there were any."""
    for one in events:
        if one["reward"] == kind:
            mean, low, high = (np.array(one[key], float) for key in ("mean", "low", "high"))
            offsets = np.arange(len(mean)) - len(mean) // 2
            axes.plot(offsets, mean, color=colour, label=rule)
            axes.fill_between(offsets, low, high, color=colour, alpha=0.15, lw=0)


def _looks(study: Values) -> str:
    return ", plain looks" if study["study"]["environment"]["use_monochrome_assets"] else ""


def _panels(studies: Sequence[Values], panel: Callable[[Axes, Placed], None]) -> Figure:
    """A panel per game of each study: a line per rule, at the largest count."""
    games = [(one, game) for one in studies for game in one["table"]]
    rows = -(-len(games) // ABREAST)
    figure = Figure((2.6 * min(ABREAST, len(games)) + 1, 2.3 * rows + 0.6), layout="constrained")
    for number, (study, game) in enumerate(games):
        axes = figure.add_subplot(rows, min(ABREAST, len(games)), number + 1)
        named = [[row for row in study["table"][game] if row["name"] == rule] for rule in RULES]
        shown = [(place, found[-1]) for place, found in enumerate(named) if found]
        panel(axes, shown)
        labels = RULES if number % ABREAST == 0 else [""] * len(RULES)
        axes.set_yticks(range(len(RULES)), labels)
        axes.set_ylim(len(RULES) - 0.5, -0.5)
        axes.set_title(f"{game}{_looks(study)}", fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def write_page(studies: Sequence[Values]) -> None:
    """Draw the pictures and put the tables between the marks of the page."""
    draw_accuracy(studies, PAGE.with_name("generalisation-accuracy.png"))
    draw_correlation(studies, PAGE.with_name("generalisation-returns.png"))
    draw_events(studies, PAGE.with_name("generalisation-events.png"))
    fill(PAGE, "generalisation", tables(studies))


def main() -> None:
    """Keep the studies named, then write the page."""
    for folder in sys.argv[1:]:
        print(keep(Path(folder)))
    write_page([json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))])
    print(PAGE)


if __name__ == "__main__":
    main()

"""A study's report: one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from learner.evaluation.accuracy import CLOCK_LIMIT
from learner.study import figures
from learner.study.bank import open_bank
from learner.study.cells import Cell, read_predictions
from learner.study.folder import StudyFolder, write_whole
from learner.study.pages import templates
from learner.study.summary import Results, Values, table

COLUMNS = {
    "clock": "clock",
    "honest": "honest",
    "own": "own",
    "true": "true",
    "whole": "whole",
    "rho_t": "ρ<sub>t</sub>",
    "spearman": "raw",
    "spearman_centred": "centred",
    "spearman_ranked": "ranked",
    "spearman_given_length": "partial",
    "pearson": "r raw",
    "pearson_centred": "r centred",
    "pearson_given_length": "r partial",
    "dard_proxy": "proxy",
    "epic": "EPIC",
}
_LISTED = 50  # demonstrations that are named one by one


def write_report(results: Results, folder: StudyFolder) -> Path:
    """Draw everything that finished and write report.html."""
    page = (
        templates()
        .get_template("report.html")
        .render(
            study=results.study,
            games=[_game(results, folder, game) for game in results.baselines],
            columns=COLUMNS,
            limit=CLOCK_LIMIT,
            problems=_problems(results),
        )
    )
    path = folder.root / "report.html"
    write_whole(path, lambda file: file.write(page.encode()))
    return path


def _game(results: Results, folder: StudyFolder, game: str) -> Values:
    """Everything that the page shows of a game."""
    drawn: list[Values] = []
    sets = results.baselines[game]["sets"]
    leaking = [name for name, facts in sets.items() if facts["warning"]]

    def add(title: str, content: bytes, warning: str = "") -> None:
        picture = base64.b64encode(content).decode()
        drawn.append({"title": title, "picture": picture, "warning": warning})

    shown = _largest(results, game)
    if shown:
        add("Accuracy against demonstrations", figures.accuracy_curves(results, game),
            _leaks(leaking))  # fmt: skip
        add("Correlation of returns against demonstrations",
            figures.correlation_curves(results, game))  # fmt: skip
        bank = open_bank(folder, game, "test")
        predicted = {one["cell"]["rule"]: _predicted(folder, one) for one in shown}
        add("Cumulative reward over unseen demonstrations", figures.cumulative(bank, predicted))
        add("Reward per step, standardised", figures.strips(bank, predicted))
        if shown[0]["figures"]["events"]:
            add("Around true rewards", figures.events(shown))
        add("Calibration on truly labelled pairs", figures.reliability(shown))
    agents = [one for one in results.agents if one["agent"]["game"] == game]
    if agents:
        add("Agents on frozen rewards", figures.agent_bars(agents))
    return {
        "name": game,
        "gallery": path.name if (path := folder.gallery(game)).exists() else None,
        "rows": table(results, game),
        "sets": sets,
        "demonstrations": _demonstrations(results, game),
        "figures": drawn,
        "agents": [{**one, "label": figures.agent_label(one)} for one in agents],
    }


def _leaks(sets: list[str]) -> str:
    """What is said under a figure that shows accuracy on some evaluation sets."""
    if not sets:
        return ""
    return (
        f"right: a clock alone orders more than {CLOCK_LIMIT} of the pairs of {', '.join(sets)} in "
        "one direction, so these curves are no evidence of learning"
    )


def _largest(results: Results, game: str) -> list[Values]:
    """The plain cell of each rule with most demonstrations, first seed."""
    found = []
    for rule in results.study.sweep.rules:
        cells = results.of(game, rule=rule, seed=0)
        if cells:
            found.append(max(cells, key=lambda one: int(one["cell"]["count"])))
    return found


def _predicted(folder: StudyFolder, cell: Values) -> NDArray[np.float32]:
    arrays = read_predictions(folder, Cell(**cell["cell"]).name)
    rewards: NDArray[np.float32] = arrays["rewards"] - arrays["centre"].astype(np.float32)
    return rewards


def _demonstrations(results: Results, game: str) -> Values:
    """What the test demonstrations are."""
    entries = results.baselines[game]["demonstrations"]
    returns = [one["true_return"] for one in entries]
    lengths = [one["length"] for one in entries]
    return {
        "count": len(entries),
        "returns": np.quantile(returns, [0, 0.25, 0.5, 0.75, 1]).tolist(),
        "lengths": np.quantile(lengths, [0, 0.25, 0.5, 0.75, 1]).tolist(),
    }


def _problems(results: Results) -> dict[str, list[str]]:
    """What people should know: tasks that failed, and what was left out within others."""
    noted: dict[str, list[str]] = {name: [text] for name, text in results.problems.items()}
    for cell in results.cells:
        name = Cell(**cell["cell"]).name
        notes = [*cell["problems"]]
        if cell["snippets"]["note"]:
            notes.append(f"{cell['snippets']['note']}, so nothing was held out")
        if notes:
            noted.setdefault(name, []).extend(notes)
    for game in results.baselines:
        noted.setdefault(game, []).extend(_short(results, game))
    return {name: lines for name, lines in noted.items() if lines}


def _short(results: Results, game: str) -> list[str]:
    """Which demonstrations of a game are shorter than a snippet; their pairs are shorter too."""
    cells = [one for one in results.cells if one["cell"]["game"] == game]
    least = results.study.snippets.min_length
    found = {
        "train": {n for one in cells for n in one["snippets"]["shorter_than_a_snippet"]},
        "test": {
            one["number"]
            for one in results.baselines[game]["demonstrations"]
            if one["length"] < least
        },
    }
    return [
        f"{split} demonstrations shorter than a snippet, taken whole: {_listed(sorted(numbers))}"
        for split, numbers in found.items()
        if numbers
    ]


def _listed(numbers: list[int]) -> str:
    more = f" and {len(numbers) - _LISTED} more (results.json)" if len(numbers) > _LISTED else ""
    return ", ".join(map(str, numbers[:_LISTED])) + more

"""A study's figures in one place: what its tasks wrote, and the tables made of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learner.evaluation.returns import mean_over_runs
from learner.study.config import StudyConfig
from learner.study.folder import StudyError, StudyFolder, read_json
from learner.study.judging import TRUE_ALIGNED
from learner.study.tasks import Task

Values = dict[str, Any]

_FIT = {
    "loss": "reward_model/loss",
    "loss_heldout": "reward_model/loss_heldout",
    "accuracy": "reward_model/accuracy",
    "accuracy_heldout": "reward_model/accuracy_heldout",
}


@dataclass(frozen=True)
class Results:
    """Everything that finished, and what did not.

    Attributes:
        baselines: by game, `judge_baselines`' figures.
        cells: `fit_cell`'s, in the order of the plan.
        agents: `train_agent`'s.
        problems: by task, what kept it from finishing.
    """

    study: StudyConfig
    baselines: dict[str, Values]
    cells: list[Values]
    agents: list[Values]
    problems: dict[str, str]

    def of(self, game: str, **wanted: Any) -> list[Values]:
        """Cells of a game with some of a cell's attributes."""
        wanted = {"variant": "plain", **wanted, "game": game}
        return [
            one
            for one in self.cells
            if all(one["cell"][name] == value for name, value in wanted.items())
        ]

    def as_dict(self) -> Values:
        """For results.json."""
        return {
            "study": self.study.model_dump(mode="json"),
            "baselines": self.baselines,
            "cells": self.cells,
            "agents": self.agents,
            "problems": self.problems,
            "table": {game: table(self, game) for game in self.baselines},
        }


def collect(
    study: StudyConfig, folder: StudyFolder, tasks: Sequence[Task], problems: dict[str, str]
) -> Results:
    """Read what finished tasks left; what is damaged is a problem, and the rest is read."""
    read: dict[str, list[Values]] = {"baselines": [], "reward models": [], "agents": []}
    damaged: dict[str, str] = {}
    for task in tasks:
        if task.stage in read and task.finished(folder):
            try:
                read[task.stage].append(read_json(task.marker(folder)))
            except StudyError as error:
                damaged[task.name] = str(error)
    return Results(
        study,
        {one["game"]: one for one in read["baselines"]},
        read["reward models"],
        read["agents"],
        {**problems, **damaged},
    )


def table(results: Results, game: str) -> list[Values]:
    """The sampler comparison of a game: a row per rule and count, means over seeds.

    Columns: clock = accuracy of a clock on the rule's own test pairs; honest = inherited labels
    that agree with true ones; own = accuracy on the rule's own test pairs; true = on truly
    labelled pairs with equal starts; whole = on whole demonstrations; rho_t = within-episode
    Spearman of reward and time; raw, centred, ranked, partial = Spearman of predicted and true
    return; of Pearson the same without ranked; fit_* = loss and accuracy on the labels learned
    from and on those held out.
    """
    sets = results.baselines[game]["sets"]
    rows = []
    sweep = results.study.sweep
    for rule in sweep.rules:
        for count in sorted(sweep.counts):
            found = results.of(game, rule=rule, count=count)
            if found:
                rows.append(row(found, rule, str(count), sets.get(rule)))
    for variant in sweep.every_variant:
        for rule in sweep.variant_rules:
            found = results.of(game, rule=rule, variant=variant.name)
            if found:
                name = f"{rule}, {variant.name}"
                rows.append(row(found, name, str(max(sweep.counts)), sets.get(rule), own=rule))
    for rule in sweep.variant_rules:
        found = results.of(game, rule=rule, count=max(sweep.counts))
        if found:
            turned = [{"figures": flipped(one["figures"])} for one in found]
            rows.append(row(turned, f"{rule}, sign-flipped", str(max(sweep.counts)),
                            sets.get(rule), own=rule))  # fmt: skip
    for name, figures in results.baselines[game]["figures"].items():
        rows.append(row([{"figures": figures}], f"baseline: {name}", "", None))
    return rows


def row(
    found: list[Values], name: str, count: str, pairs: Values | None, own: str | None = None
) -> Values:
    """One line of the table."""
    returns = [
        *("spearman", "spearman_centred", "spearman_ranked", "spearman_given_length"),
        *("pearson", "pearson_centred", "pearson_given_length"),
    ]
    values: Values = {
        "name": name,
        "demonstrations": count,
        "seeds": len(found),
        "clock": None if pairs is None else pairs["clock"],
        "warning": "" if pairs is None else pairs["warning"],
        "honest": None if pairs is None else pairs["true_labels_agree"]["value"],
        "own": over(found, "accuracy", own or name, "value"),
        "true": over(found, "accuracy", TRUE_ALIGNED, "value"),
        "whole": over(found, "whole", "value"),
        "rho_t": over(found, "time", "median"),
        "dard_proxy": over(found, "dard_proxy"),
        "epic": over(found, "epic"),
        **{key: over(found, "returns", key, "value") for key in returns},
        **{
            f"fit_{key}": _mean(at(one, ("fit", name)) for one in found)
            for key, name in _FIT.items()
        },
    }
    for key, path in (
        ("own", ("accuracy", own or name)),
        ("true", ("accuracy", TRUE_ALIGNED)),
        ("spearman_given_length", ("returns", "spearman_given_length")),
        ("pearson_given_length", ("returns", "pearson_given_length")),
    ):
        values[f"{key}_interval"] = interval(found, path)
    return values


def flipped(figures: Values) -> Values:
    """The same of the reward with its sign turned; a guess stays a guess."""

    def turn(values: Values, mirror: float) -> Values:
        turned = {**values}
        for key, other in (("value", "value"), ("low", "high"), ("high", "low")):
            turned[key] = None if values[other] is None else mirror - values[other]
        return turned

    median = figures["time"]["median"]
    lengths = ("pearson_length", "spearman_length")  # of the episode, not of the reward
    own = {name: one for name, one in figures["returns"].items() if name != "spearman_ranked"}
    return {
        "accuracy": {name: turn(one, 1.0) for name, one in figures["accuracy"].items()},
        "whole": turn(figures["whole"], 1.0),
        "returns": {name: one if name in lengths else turn(one, 0.0) for name, one in own.items()},
        "time": {"median": None if median is None else -median},
    }


def over(found: Iterable[Values], *path: str) -> float | None:
    """Mean over seeds of a figure, without those that lack it."""
    return _mean(at(one["figures"], path) for one in found)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def interval(found: list[Values], path: tuple[str, ...]) -> tuple[float, float] | None:
    """95 %: of one seed that of its demonstrations; of several Student's over their values.

    The latter tells how seeds differ on the same test demonstrations, and stays within the range
    that the figure has.
    """
    known = [one for one in found if at(one["figures"], (*path, "value")) is not None]
    if len(known) > 1:
        estimate = mean_over_runs([at(one["figures"], (*path, "value")) for one in known])
        least = 0.0 if path[0] == "accuracy" else -1.0
        return max(estimate.low, least), min(estimate.high, 1.0)
    low, high = over(known, *path, "low"), over(known, *path, "high")
    return None if low is None or high is None else (low, high)


def at(values: Any, path: Sequence[str]) -> Any:
    """A nested value; None where it is missing."""
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return None
        values = values[key]
    return values

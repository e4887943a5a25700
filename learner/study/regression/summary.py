"""The figures of a study of regressed rewards in one place, and the tables made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learner.study.folder import StudyFolder, read_json
from learner.study.regression.config import RegressionConfig
from learner.study.tasks import Task

Values = dict[str, Any]

PUBLISHED = {"no goal": 0.954, "two goals": -0.074, "many goals": -1.489}
"""Michaud et al. 2020, figure of counterfactual inputs; a reward learned in maze/coin-flip."""


@dataclass(frozen=True)
class RegressionResults:
    """Everything that finished, and what did not.

    Attributes:
        models: `fit_model`'s figures.
        figures: `inspect_models`', by case.
        agents: `train_paid_agent`'s.
        problems: by task, what kept it from finishing.
    """

    study: RegressionConfig
    models: list[Values]
    figures: list[Values]
    agents: list[Values]
    problems: dict[str, str]

    def as_dict(self) -> Values:
        """For results.json."""
        return {
            "study": self.study.model_dump(mode="json"),
            "models": self.models,
            "figures": self.figures,
            "agents": self.agents,
            "problems": self.problems,
            "tables": {game: tables(self, game) for game in self.study.games},
        }


def collect(
    study: RegressionConfig, folder: StudyFolder, tasks: Sequence[Task], problems: dict[str, str]
) -> RegressionResults:
    """Read what finished tasks left."""
    found = {
        stage: [
            read_json(task.marker(folder))
            for task in tasks
            if task.stage == stage and task.finished(folder)
        ]
        for stage in ("models", "figures", "agents")
    }
    return RegressionResults(study, found["models"], found["figures"], found["agents"], problems)


def tables(results: RegressionResults, game: str) -> dict[str, list[Values]]:
    """The tables of a game: a row per model (and what it was asked), means over seeds."""
    return {
        "models": _models(results, game),
        "counterfactuals": _counterfactuals(results, game),
        "readings": _readings(results, game),
        "saliency": _saliency(results, game),
        "agents": _agents(results, game),
    }


def spread(values: Iterable[float | None]) -> Values:
    """Mean and range over seeds, of those that there are."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    if not known:
        return {"mean": None, "low": None, "high": None, "seeds": 0}
    mean = float(np.mean(known))
    return {"mean": mean, "low": min(known), "high": max(known), "seeds": len(known)}


def _models(results: RegressionResults, game: str) -> list[Values]:
    rows = []
    for variant in _variants(results):
        own = [
            one
            for one in results.models
            if (one["model"]["game"], one["model"]["variant"]) == (game, variant)
        ]
        if own:
            rows.append(
                {
                    "model": variant,
                    "test error": spread(one["passes"][-1]["test"] for one in own),
                    "variance": spread(one["variance"] for one in own),
                    "rewarded": spread(one["rewarded"]["test"] for one in own),
                }
            )
    return rows


def _found(results: RegressionResults, game: str, variant: str, key: str) -> list[Any]:
    """What was found in a variant's models, one per seed."""
    return [
        one["models"][variant][key]
        for one in results.figures
        if one["game"] == game and key in one["models"].get(variant, {})
    ]


def _counterfactuals(results: RegressionResults, game: str) -> list[Values]:
    rows = []
    for variant in _variants(results):
        seeds = _found(results, game, variant, "counterfactuals")
        for asked in zip(*seeds, strict=True):
            first = asked[0]
            rows.append(
                {
                    "model": variant,
                    "maze": first["name"],
                    "step": first["title"],
                    "true": first["true"],
                    "predicted": spread(one["predicted"] for one in asked),
                    "everywhere": spread(one["everywhere"] for one in asked),
                    "published": PUBLISHED.get(first["name"]) if game == "maze/coin-flip" else None,
                }
            )
    return rows


def _readings(results: RegressionResults, game: str) -> list[Values]:
    named = ("error", "rewarded", "unrewarded", "spread", "misplaced", "ranked", "rewarded_share")
    rows = []
    for variant in _variants(results):
        for asked in zip(*_found(results, game, variant, "readings"), strict=True):
            rows.append(
                {"model": variant, "policy": asked[0]["policy"], "score": asked[0]["score"]}
                | {name: spread(one[name] for one in asked) for name in named}
            )
    return rows


def _saliency(results: RegressionResults, game: str) -> list[Values]:
    rows = []
    for variant in _variants(results):
        found = _found(results, game, variant, "saliency")
        if found:
            rows.append(
                {"model": variant} | {key: spread(one[key] for one in found) for key in found[0]}
            )
    return rows


def _agents(results: RegressionResults, game: str) -> list[Values]:
    rows = []
    own = [one for one in results.agents if one["agent"]["game"] == game]
    for place in results.study.agents.games or (game,):
        for paid in results.study.agents.paid:
            like = [
                one
                for one in own
                if (one["agent"]["trained_in"], one["agent"]["paid"]) == (place, paid.name)
            ]
            if like:
                rows.append(
                    {
                        "trained in": place,
                        "paid": paid.name,
                        "steps": like[0]["steps"],
                        "return": spread(one["test"]["value"] for one in like),
                        "rewarded": spread(one["curve"][-1]["rewarded"] for one in like),
                        "unrewarded": spread(one["curve"][-1]["unrewarded"] for one in like),
                    }
                )
    return rows


def _variants(results: RegressionResults) -> list[str]:
    return [one.name for one in results.study.every_variant()]

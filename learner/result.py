"""What a finished run came to: its figures, each baseline under what it belongs to, as a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from learner.config import RunConfig
from learner.errors import Unwritable
from learner.evaluation.estimates import Estimate
from learner.evaluation.scoring import Scores
from learner.loop import Outcome

FILE = "result.json"


def figures(scores: Scores) -> dict[str, Estimate]:
    """Every figure of the closing table by its name, in the order of the table."""
    named = {
        "true return, train levels": scores.train,
        "true return, unseen levels": scores.test,
    }
    if scores.reward is not None:
        strongest = scores.reward.clock
        named |= {
            "preference accuracy, unseen levels": scores.reward.accuracy.estimate,
            "  the same pairs by clip start alone": strongest.start.estimate,
            "  the same pairs by clip end alone": strongest.end.estimate,
            "Spearman of predicted and true return": scores.reward.returns.spearman,
            "  of episode length and true return": scores.reward.returns.spearman_length,
        }
    return named


def write_result(folder: Path, name: str, config: RunConfig, outcome: Outcome) -> Path:
    """Write `result.json` whole or not at all.

    Args:
        folder: the run's; made if it is missing.
        name: of the run.
        config: it was trained with.
        outcome: what it came to.

    Raises:
        Unwritable: the folder cannot be written, or its disk is full.
    """
    path = folder / FILE
    unfinished = folder / f"{FILE}.unfinished"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(_content(name, config, outcome), indent=2) + "\n")
        os.replace(unfinished, path)
    except OSError as error:
        raise Unwritable(folder, error) from error
    return path


def _content(name: str, config: RunConfig, outcome: Outcome) -> dict[str, Any]:
    return {
        "run": name,
        "seed": config.seed,
        "steps": outcome.steps,
        "labels": outcome.labels,
        "seconds": round(outcome.seconds, 1),
        "steps_per_second": round(outcome.steps_per_second, 1),
        "figures": {
            label.strip(): {
                "value": figure.value,
                "low": figure.low,
                "high": figure.high,
                "n": figure.n,
            }
            for label, figure in figures(outcome.scores).items()
        },
        "metrics": outcome.metrics,
        "config": config.model_dump(mode="json"),
    }

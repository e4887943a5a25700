"""How a run is labelled: the section `labelling` of its config, as the server understands it.

The learner's config documents and checks it (`learner/config.py`); the defaults are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_LABELS = 10_000_000

Strategy = Literal["uniform", "disagreement", "entropy", "bald", "kcenter", "hybrid"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
"""How pairs are chosen from the pool, by the learner's names."""


@dataclass(frozen=True)
class Words:
    """How pages speak of a strategy.

    Attributes:
        choice: pairs are chosen by it.
        reason: why it asked a pair.
    """

    choice: str
    reason: str


STRATEGY_WORDS: Mapping[Strategy, Words] = {
    "uniform": Words("chance", "drawn uniformly from the newest rollout"),
    "disagreement": Words(
        "disagreement of the members", "the members of the reward model disagree on it"
    ),
    "entropy": Words("entropy of the mean", "the reward model is undecided about it"),
    "bald": Words("what an answer would tell (BALD)", "an answer would tell the members apart"),
    "kcenter": Words(
        "difference from each other (k-center)", "it is far from the pairs asked before"
    ),
    "hybrid": Words(
        "disagreement, then difference",
        "the reward model doubts it, and it is far from the pairs asked before",
    ),
}

Skip = Literal["off", "later", "others", "ignore"]


class Rules(BaseModel):
    """What labellers of one run are asked and shown."""

    model_config = ConfigDict(frozen=True)

    strengths: bool = False
    overlap: float = Field(0.0, ge=0, le=1)
    answers: int = Field(2, ge=2, le=10)
    third_opinion: bool = True
    gold_share: float = Field(0.1, ge=0, le=0.25)
    gold_threshold: float | None = Field(None, gt=0, le=1)
    gold_minimum: int = Field(10, ge=1)
    trial_share: float = Field(0.1, ge=0, le=0.25)
    repeat_share: float = Field(0.0, ge=0, le=0.25)
    repeat_after: int = Field(20, ge=1)
    practice: int = Field(0, ge=0, le=50)
    skip: Skip = "off"
    show_prediction: bool = False


def rules_of(config: Mapping[str, Any]) -> Rules:
    """Read a run's rules; the defaults if they are missing or no learner has checked them yet."""
    try:
        return Rules.model_validate(config.get("labelling", {}))
    except ValidationError:
        return Rules()

"""How a run is labelled: the section `labelling` of its config, as the server understands it.

The learner's config documents and checks it (`learner/config.py`); the defaults are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST_LABELS = 10_000_000

Strategy = Literal["uniform", "disagreement", "entropy", "bald", "kcenter", "hybrid"]
STRATEGIES = get_args(Strategy)
"""How pairs are chosen from the pool, by the learner's names."""

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

"""Which segments a version of the reward model likes most and least, doubts, or judges otherwise.

The scores come from a worker (`Aspect.SEGMENTS`); here they are only put into order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.models import Answer
from server.store.explorations import Decided

SHOWN = 8
"""Segments, or pairs, of each kind."""


@dataclass(frozen=True)
class Score:
    """What a version makes of a segment.

    Attributes:
        reward: mean over its steps of what the agent would be paid.
        spread: standard deviation of that over the members.
        returns: each member's sum of unnormalised rewards, by which pairs are predicted.
    """

    segment: int
    reward: float
    spread: float
    returns: Sequence[float]


@dataclass(frozen=True)
class Difference:
    """A pair on which an answer and the version differ.

    Attributes:
        chance: the probability that the version gave to the answer.
    """

    pair: Decided
    chance: float


@dataclass(frozen=True)
class Extremes:
    """The ends of the order, the most extreme first.

    Attributes:
        looked_at: segments that were scored, the newest of `of`.
        fps: frames per second of the films; None where nothing was scored.
    """

    looked_at: int
    of: int
    fps: int | None
    most: Sequence[Score]
    least: Sequence[Score]
    uncertain: Sequence[Score]
    differing: Sequence[Difference]


def find_extremes(content: bytes, decided: Sequence[Decided]) -> Extremes:
    """Put a worker's scores into order.

    Args:
        content: JSON as the worker stored it.
        decided: answers that prefer one of two segments.
    """
    told = json.loads(content)
    scores = [_score(one) for one in told["segments"] if _is_whole(one)]
    by_reward = sorted(scores, key=lambda one: one.reward)
    by_spread = sorted(scores, key=lambda one: -one.spread)
    return Extremes(
        looked_at=len(told["segments"]),
        of=told["of"],
        fps=told["fps"],
        most=by_reward[::-1][:SHOWN],
        least=by_reward[:SHOWN],
        uncertain=by_spread[:SHOWN],
        differing=_differing({one.segment: one for one in scores}, decided),
    )


def _differing(scores: Mapping[int, Score], decided: Sequence[Decided]) -> list[Difference]:
    """Pairs whose answer the version finds unlikely, the most unlikely first, none twice."""
    found: dict[int, Difference] = {}
    for pair in decided:
        if pair.a not in scores or pair.b not in scores:
            continue
        a_better = preferred(scores[pair.a].returns, scores[pair.b].returns)
        chance = a_better if pair.answer is Answer.A else 1.0 - a_better
        if chance < 0.5:
            found.setdefault(pair.query, Difference(pair, chance))
    return sorted(found.values(), key=lambda one: one.chance)[:SHOWN]


def preferred(a: Sequence[float], b: Sequence[float]) -> float:
    """The mean over members of their probability that a is better (Bradley-Terry)."""
    chances = [0.5 + 0.5 * math.tanh((one - other) / 2) for one, other in zip(a, b, strict=True)]
    return sum(chances) / len(chances)


def _is_whole(score: Mapping[str, Any]) -> bool:
    """Whether the reward model gave numbers; a NaN is stored as null."""
    return None not in (score["reward"], score["spread"], *score["returns"])


def _score(values: Mapping[str, Any]) -> Score:
    return Score(values["id"], values["reward"], values["spread"], values["returns"])

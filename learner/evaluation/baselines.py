"""Rewards that know nothing: what any learned reward has to be shown beside.

Each is a function of an episode's observations and step times, like a reward model's.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rewards = NDArray[np.float32]


class StepReward(Protocol):
    """A reward for every step of an episode, or of a part of one."""

    def __call__(self, observations: NDArray[Any], times: NDArray[np.integer[Any]]) -> Rewards:
        """Score steps.

        Args:
            observations: (steps, ...) before each action.
            times: (steps,) steps since the episode began.

        Returns:
            (steps,) float32 rewards.
        """
        ...


def length(observations: NDArray[Any], times: NDArray[np.integer[Any]]) -> Rewards:  # noqa: ARG001
    """+1 for every step: its return is the episode's length, the "survives longer" heuristic."""
    return np.ones(len(times), dtype=np.float32)


def clock(observations: NDArray[Any], times: NDArray[np.integer[Any]]) -> Rewards:  # noqa: ARG001
    """The time itself: all that a reward learned under a later-start rule needs to know."""
    return times.astype(np.float32)


def zero(observations: NDArray[Any], times: NDArray[np.integer[Any]]) -> Rewards:  # noqa: ARG001
    """Nothing, ever: every pair is a guess."""
    return np.zeros(len(times), dtype=np.float32)


def flipped(reward: StepReward) -> StepReward:
    """A reward with its sign turned: how much of an agent's score is owed to the sign."""

    def negative(observations: NDArray[Any], times: NDArray[np.integer[Any]]) -> Rewards:
        return -reward(observations, times)

    return negative


def shuffled_labels(targets: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """Labels that no longer belong to their pairs, for a model that can learn nothing from them.

    They are permuted over pairs, and then each is turned round by a coin toss: where the first
    segment is always the better one, a permutation alone would change nothing.

    Args:
        targets: (pairs,) probability that the first is better.
        rng: source of the shuffle.
    """
    permuted = rng.permutation(np.asarray(targets, dtype=np.float64))
    return np.where(rng.random(len(permuted)) < 0.5, permuted, 1.0 - permuted)

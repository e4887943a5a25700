"""Whole episodes of an agent, with what the reward model predicts at every step.

Each environment plays one episode, so that short episodes are not counted more often than
long ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learner.envs.protocol import Environments
from learner.evaluation.performances import Performances

LONGEST = 10_000
"""Steps after which an episode without an end is scored as it stands."""


class Acting(Protocol):
    """Whatever chooses actions: (n, ...) observations -> (n, ...) actions."""

    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Choose one action per observation."""


Rewarding = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float32]]
"""(n, ...) observations and actions -> (n,) predicted rewards."""


@dataclass(frozen=True)
class Episodes:
    """One episode per environment, padded with zeros behind its end.

    Attributes:
        returns: (episodes,) true returns, as the game counts them.
        true: (steps, episodes) float32 true rewards as a teacher is told them, so with the
            penalty of an end, where the config sets one.
        predicted: (steps, episodes) float32 predicted rewards; zeros without a model.
        lengths: (episodes,) steps until the end, the last one included.
        levels: (episodes,) level seeds, -1 where there are none.
    """

    returns: NDArray[np.float64]
    true: NDArray[np.float32]
    predicted: NDArray[np.float32]
    lengths: NDArray[np.int64]
    levels: NDArray[np.int64]

    @property
    def predicted_returns(self) -> NDArray[np.float64]:
        """(episodes,) sums of predicted rewards."""
        returns: NDArray[np.float64] = self.predicted.sum(axis=0, dtype=np.float64)
        return returns

    @property
    def steps(self) -> int:
        """Environment steps that belong to an episode."""
        return int(self.lengths.sum())


def play(
    agent: Acting,
    environments: Environments,
    rng: np.random.Generator,
    *,
    rewarding: Rewarding | None = None,
    pulse: Callable[[], None] = lambda: None,
    recording: Performances | None = None,
) -> Episodes:
    """Let the agent play one episode in each environment.

    Args:
        agent: samples its actions, as it does in training (Procgen's protocol).
        environments: freshly made; they are left in the middle of later episodes.
        rng: source of the agent's draws.
        rewarding: predicts each step's reward from the frame before the action.
        pulse: called once a step.
        recording: keeps the beginnings of some of the episodes.
    """
    observations = environments.reset()
    if recording is not None:
        recording.begin(environments)
    count = environments.num_envs
    levels = environments.levels().copy()
    alive = np.ones(count, dtype=bool)
    lengths = np.zeros(count, dtype=np.int64)
    returns = np.zeros(count)
    space = environments.action_space
    actions = np.zeros((count, *(space.shape or ())), space.dtype)
    true: list[NDArray[np.float32]] = []
    predicted: list[NDArray[np.float32]] = []
    while alive.any() and len(true) < LONGEST:
        pulse()
        # Only running episodes are worth a forward pass; the rest repeat their last action.
        actions[alive] = agent.act(observations[alive], rng)
        guess = np.zeros(count, dtype=np.float32)
        if rewarding is not None:
            guess[alive] = rewarding(observations[alive], actions[alive])
        before = observations
        observations, rewards, ends, infos = environments.step(actions)
        if recording is not None:
            recording.add(alive, before, actions, rewards, ends)
        true.append(np.where(alive, rewards, 0.0).astype(np.float32))
        predicted.append(guess)
        lengths += alive
        returns += true[-1]
        # Where the config hides ends from the agent, an episode of the game still counts as one.
        ended = ends | np.array(["episode" in info for info in infos])
        for index in np.flatnonzero(alive & ended):
            returns[index] = infos[index]["episode"]["r"]  # without the penalty of the end
        alive &= ~ended
    return Episodes(returns, np.stack(true), np.stack(predicted), lengths, levels)

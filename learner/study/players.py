"""Who plays demonstrations: an expert's checkpoints, or a noisy clone of it (D-REX)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from learner.agents.acting import agent_for_acting
from learner.agents.cloning import Demonstration, clone
from learner.agents.ppo import PPOAgent
from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.evaluation.episodes import Acting
from learner.replay import replay
from learner.seeds import generator
from learner.study.config import StudyConfig
from learner.study.experts import Kept
from learner.study.playing import play_levels, start_of, trajectory_of

NO_OPS = 1.25
"""Noise of the bin that only waits: it ranks below all noise."""
_WAITING = {"procgen/": 4, "ALE/": 0}  # the action that does nothing, by family


@dataclass(frozen=True)
class Player:
    """Somebody who plays demonstrations.

    Attributes:
        steps: environment steps that the policy has learned from.
        noise: share of random actions; None where nothing is injected.
        make: builds it; costs seconds.
    """

    steps: int
    noise: float | None
    make: Callable[[], Acting]


def checkpoint_players(config: RunConfig, batch: Environments, kept: list[Kept]) -> list[Player]:
    """An expert's checkpoints."""
    return [Player(one.steps, None, partial(load_agent, config, batch, one)) for one in kept]


def noisy_players(
    study: StudyConfig, game: str, config: RunConfig, batch: Environments, kept: list[Kept]
) -> list[Player]:
    """One clone of the newest checkpoint, with more and more of its actions random.

    D-REX (Brown et al. 2020): noise makes a cloned policy worse, so less noise ranks higher.
    Where the action that does nothing is known, a bin that only waits is ranked worst.
    """
    noise = study.ranking.noise

    @lru_cache(maxsize=1)
    def cloned() -> PPOAgent:
        return _clone(study, game, config, batch, kept)

    steps = kept[-1].steps
    players = [
        Player(steps, level, lambda level=level: Noisy(cloned(), batch, level))  # type: ignore[misc]
        for level in noise.levels
    ]
    waiting = next(
        (a for start, a in _WAITING.items() if config.environment.id.startswith(start)), None
    )
    if noise.no_ops and waiting is not None:
        players.append(Player(0, NO_OPS, lambda: Waiting(waiting)))
    return players


@dataclass(frozen=True)
class Noisy:
    """A policy of whose actions a share is replaced by uniform ones."""

    policy: Acting
    batch: Environments
    share: float

    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Choose one action per observation."""
        actions = self.policy.act(observations, rng)
        space = self.batch.action_space
        shape = (len(actions), *(space.shape or ()))
        if isinstance(space, spaces.Discrete):
            random = rng.integers(space.n, size=shape) + space.start
        else:
            assert isinstance(space, spaces.Box), space
            random = rng.uniform(space.low, space.high, size=shape)
        replaced = (rng.random(len(actions)) < self.share).reshape(-1, *[1] * (len(shape) - 1))
        return np.where(replaced, random, actions).astype(actions.dtype)


@dataclass(frozen=True)
class Waiting:
    """Does nothing, at every step."""

    action: int

    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:  # noqa: ARG002
        """Choose one action per observation."""
        return np.full(len(observations), self.action, np.int64)


def load_agent(config: RunConfig, batch: Environments, checkpoint: Kept) -> PPOAgent:
    """The checkpoint's agent; its environments differ in number from those of training."""
    return agent_for_acting(config, batch, checkpoint.load()["agent"])


def _clone(
    study: StudyConfig, game: str, config: RunConfig, batch: Environments, kept: list[Kept]
) -> PPOAgent:
    """The untrained agent after behaviour cloning of the newest checkpoint's episodes."""
    expert = load_agent(config, batch, kept[-1])
    levels = list(study.levels()["cloned demonstrations"])
    rng = generator(study.seed, f"cloned demonstrations of {game}")
    shown: list[Demonstration] = []
    for at in range(0, len(levels), batch.num_envs):
        part = levels[at : at + batch.num_envs]
        starts = [start_of(config.environment, level) for level in part]
        played = play_levels(expert, batch, starts, study.demonstrations.longest, rng)
        for level, start, one in zip(part, starts, played, strict=True):
            recorded = trajectory_of(
                one, config.environment, start, level, kept[-1].steps, "cloned"
            )
            shown.append(Demonstration(replay(recorded).observations, one.actions))
    agent = load_agent(config, batch, kept[0])
    clone(agent, shown, rng, epochs=study.ranking.noise.clone_epochs)
    return agent

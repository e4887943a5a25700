"""Episodes on chosen levels, side by side, and their recipes."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.config import EnvironmentConfig
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.episodes import Acting
from learner.trajectories import Trajectory


def start_of(environment: EnvironmentConfig, level: int) -> bytes:
    """Snapshot of an environment at the beginning of a level.

    Where a family has no levels, the level is the seed of the episode.
    """
    if environment.id.startswith("procgen/"):
        environment = environment.model_copy(update={"start_level": level, "num_levels": 1})
    single = make(environment, num_envs=1, seed=level, test_start_level=level + 1)
    with closing(single):
        single.reset()
        return single.save(0)


@dataclass(frozen=True)
class Played:
    """One episode: (steps, ...) actions, rewards and ends, and the digest of what was seen."""

    actions: NDArray[Any]
    rewards: NDArray[np.float32]
    ends: NDArray[np.bool_]
    digest: str


def play_levels(
    agent: Acting,
    batch: Environments,
    starts: list[bytes],
    longest: int,
    rng: np.random.Generator,
) -> list[Played]:
    """Play one episode from each start, side by side in the first environments of a batch."""
    count = len(starts)
    for index, start in enumerate(starts):
        batch.load(index, start)
    hashes = [hashlib.sha256() for _ in starts]
    space = batch.action_space
    moves = np.zeros((batch.num_envs, *(space.shape or ())), space.dtype)
    actions: list[NDArray[Any]] = []
    rewards: list[NDArray[np.float32]] = []
    ends: list[NDArray[np.bool_]] = []
    alive = np.ones(count, np.bool_)
    lengths = np.zeros(count, np.int64)
    observations = batch.observe()
    while alive.any() and len(actions) < longest:
        running = np.flatnonzero(alive)
        moves[running] = agent.act(observations[running], rng)
        for index in running:
            hashes[index].update(np.ascontiguousarray(observations[index]).tobytes())
        observations, paid, ended, _ = batch.step(moves)
        actions.append(moves[:count].copy())
        rewards.append(paid[:count].copy())
        ends.append(ended[:count].copy())
        lengths += alive
        alive &= ~ended[:count]
    moved, paid_all, ended_all = np.stack(actions), np.stack(rewards), np.stack(ends)
    return [
        Played(
            actions=moved[:steps, index],
            rewards=paid_all[:steps, index],
            ends=ended_all[:steps, index],
            digest=hashes[index].hexdigest(),
        )
        for index, steps in enumerate(lengths)
    ]


def trajectory_of(
    played: Played,
    environment: EnvironmentConfig,
    start: bytes,
    level: int,
    policy_step: int,
    episode: str,
) -> Trajectory:
    """An episode as a recipe."""
    return Trajectory(
        environment=environment.model_dump(mode="json"),
        start_state=start,
        actions=played.actions,
        rewards=played.rewards,
        ends=played.ends,
        episode=episode,
        level=level,
        policy_step=policy_step,
        digest=played.digest,
    )

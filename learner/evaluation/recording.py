"""One episode of an agent as a trajectory, from its first frame on."""

from __future__ import annotations

from typing import Any

import numpy as np

from learner.config import EnvironmentConfig
from learner.envs.protocol import Environments
from learner.evaluation.episodes import Acting
from learner.trajectories import Trajectory, digest


def record(
    agent: Acting,
    environments: Environments,
    environment: EnvironmentConfig,
    rng: np.random.Generator,
    *,
    longest: int,
    episode: str,
    policy_step: int,
) -> Trajectory:
    """Let an agent play in a single environment until an episode ends.

    Args:
        agent: samples its actions.
        environments: one, where an episode has just begun.
        environment: how it was made.
        rng: source of the agent's draws.
        longest: steps after which the episode is left as it stands.
        episode: its name.
        policy_step: environment steps that the agent has learned from.

    Returns:
        A recipe; with observations, and frames where it can be drawn, if it cannot be restored.
    """
    observation = environments.observe()
    level = int(environments.levels()[0])
    start = environments.save(0) if environments.replayable else None
    seen: list[Any] = []
    actions: list[Any] = []
    rewards: list[float] = []
    frames: list[Any] = []
    ended = False
    while not ended and len(actions) < longest:
        seen.append(observation[0].copy())
        if start is None and environments.pictures:
            frames.append(environments.render_people())
        action = agent.act(observation, rng)
        observation, reward, ends, _ = environments.step(action)
        actions.append(action[0])
        rewards.append(float(reward[0]))
        ended = bool(ends[0])
    observations = np.stack(seen)
    return Trajectory(
        environment=environment.model_dump(mode="json"),
        start_state=start,
        actions=np.stack(actions),
        rewards=np.array(rewards, dtype=np.float32),
        ends=np.array([False] * (len(actions) - 1) + [ended]),
        episode=episode,
        level=level,
        policy_step=policy_step,
        digest=digest(observations),
        observations=None if start is not None else observations,
        frames=np.stack(frames) if frames else None,
    )

"""An episode to look at: the agent on one fixed level, the same at every checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.episodes import Acting
from learner.seeds import generator, integer
from learner.trajectories import Trajectory, digest


def film(agent: Acting, config: RunConfig, *, policy_step: int) -> Trajectory:
    """Let the agent play one unseen level, as a recipe for its video.

    Args:
        agent: samples its actions.
        config: the run's; equal configs are filmed on the same level.
        policy_step: environment steps that the agent has learned from.
    """
    environments = _stage(config, people_view=False)
    if not environments.replayable:  # then what people see has to be stored as well
        environments.close()
        environments = _stage(config, people_view=True)
    try:
        return _play(agent, config, environments, policy_step)
    finally:
        environments.close()


def _stage(config: RunConfig, *, people_view: bool) -> Environments:
    return make(
        config.environment,
        num_envs=1,
        seed=integer(config.seed, "film"),
        split="test",
        test_start_level=config.evaluation.test_start_level,
        people_view=people_view,
    )


def _play(
    agent: Acting, config: RunConfig, environments: Environments, policy_step: int
) -> Trajectory:
    rng = generator(config.seed, "film actions")
    longest = int(config.evaluation.video_seconds * environments.fps)
    observation = environments.reset()
    level = int(environments.levels()[0])
    start = environments.save(0) if environments.replayable else None
    seen: list[Any] = []
    actions: list[Any] = []
    rewards: list[float] = []
    frames: list[Any] = []
    ended = False
    while not ended and len(actions) < longest:
        seen.append(observation[0].copy())
        if start is None:
            frames.append(environments.render_people())
        action = agent.act(observation, rng)
        observation, reward, ends, _ = environments.step(action)
        actions.append(action[0])
        rewards.append(float(reward[0]))
        ended = bool(ends[0])
    observations = np.stack(seen)
    return Trajectory(
        environment=config.environment.model_dump(mode="json"),
        start_state=start,
        actions=np.stack(actions),
        rewards=np.array(rewards, dtype=np.float32),
        ends=np.array([False] * (len(actions) - 1) + [ended]),
        episode=f"film-{policy_step}",
        level=level,
        policy_step=policy_step,
        digest=digest(observations),
        observations=None if start is not None else observations,
        frames=np.stack(frames) if start is None else None,
    )

from __future__ import annotations

import pytest

from learner.config import EnvironmentConfig
from learner.envs.protocol import Environments
from learner.envs.registry import make


@pytest.fixture
def cartpoles():
    """Makes batches of CartPoles with episodes cut after `limit` steps, reset."""

    def make_them(num_envs: int = 4, *, seed: int = 0, limit: int = 20) -> Environments:
        config = EnvironmentConfig(id="CartPole-v1", options={"max_episode_steps": limit})
        env = make(config, num_envs=num_envs, seed=seed)
        env.reset()
        return env

    return make_them

"""What a regressed reward pays a rollout, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from learner.agents.ppo import make_agent
from learner.config import parse_config
from learner.envs.maze import AGENT, GOAL
from learner.envs.registry import make
from learner.study.regression.agents import RegressedPay


class GoalHidden:
    """1 where the agent has moved by a cell at most and hides the goal: the true reward."""

    def rewards(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        moved = np.abs(cells(before) - cells(after)).sum(axis=1)
        return ((moved <= 1) & ~after[..., GOAL].any(axis=(1, 2))).astype(np.float32)


def cells(frames: np.ndarray) -> np.ndarray:
    """(n, 2) where the agent of each frame is."""
    return np.array([np.argwhere(frame[..., AGENT])[0] for frame in frames])


@pytest.fixture
def agent():
    config = parse_config(
        {
            "environment": {"id": "maze/coin-flip", "num_envs": 4, "options": {"size": 3}},
            "agent": {"network": "mlp", "n_steps": 60, "batch_size": 60},
            "precision": "float32",
            "threads": 1,
        }
    )
    environments = make(config.environment, num_envs=4, seed=0)
    return make_agent(config, environments)


def test_each_step_is_paid_for_the_frames_around_it_also_at_the_end_of_episode_and_rollout(agent):
    """Compared with the true rewards, step by step: one off by one would fail."""
    pay = RegressedPay(GoalHidden(), agent.env)
    for number in range(3):
        rollout = agent.collect(number, capture=False)

        assert rollout.ends.sum() > 5
        assert np.array_equal(pay(rollout), rollout.true_rewards)


def test_above_a_threshold_everything_is_paid_one(agent):
    class Half:
        def rewards(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
            return np.where(after[..., GOAL].any(axis=(1, 2)), 0.2, 0.8).astype(np.float32)

    rollout = agent.collect(1, capture=False)

    paid = RegressedPay(Half(), agent.env, threshold=0.5)(rollout)

    assert set(np.unique(paid)) == {0.0, 1.0}
    assert np.array_equal(paid, rollout.true_rewards)

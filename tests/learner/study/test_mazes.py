from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from learner.config import EnvironmentConfig, RewardConfig
from learner.envs.maze import AGENT, GOAL, KINDS, Maze
from learner.rewards.ensemble import RewardEnsemble
from learner.study.mazes import maze_epic


class Known(RewardEnsemble):
    """A model whose reward is 1 where no goal is seen: the agent stands on it."""

    def __init__(self, scale: float) -> None:
        space = gym.spaces.Box(0, 255, (6, 6, 3), np.uint8)
        config = RewardConfig(network="mlp", members=1)
        super().__init__(space, gym.spaces.Discrete(4), config, 0)
        self._scale = scale

    def rewards(self, observations, actions=None):
        assert (observations[..., AGENT] > 0).any(axis=(1, 2)).all()
        on_goal = ~(observations[..., GOAL] > 0).any(axis=(1, 2))
        return self._scale * on_goal.astype(np.float32)


def environment(kind: str = "coin-flip") -> EnvironmentConfig:
    return EnvironmentConfig(id=f"maze/{kind}", options={"size": 4})


@pytest.mark.parametrize(("scale", "least", "most"), [(2.5, 0.0, 0.02), (-1.0, 0.98, 1.0)])
def test_a_reward_for_standing_on_the_goal_is_the_true_one(scale, least, most):
    """The maze pays for the step onto the goal; r(s) is paid a step later, which is shaping."""
    assert least <= maze_epic(Known(scale), environment()) <= most


def test_an_untrained_model_is_far_from_it():
    space = gym.spaces.Box(0, 255, (6, 6, 3), np.uint8)
    model = RewardEnsemble(space, gym.spaces.Discrete(4), RewardConfig(network="mlp"), 3)
    assert 0.4 < maze_epic(model, environment("random-goal")) < 0.9


def test_other_environments_have_no_exact_distance():
    assert maze_epic(Known(1.0), EnvironmentConfig(id="procgen/coinrun")) is None


@pytest.mark.parametrize("kind", KINDS)
def test_goals_are_where_they_may_be(kind):
    maze, rng = Maze(4), np.random.default_rng(0)
    drawn = {maze.goals(kind, rng) for _ in range(400)}
    assert drawn == set(maze.placements(kind))

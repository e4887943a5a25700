"""Scoring where the config hides the ends of episodes from the agent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from learner.config import EnvironmentConfig
from learner.envs.registry import make
from learner.evaluation.episodes import play


class Left:
    """Pushes to the left: CartPole falls within eleven steps."""

    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        return np.zeros(len(observations), np.int64)


PENALTY = {"episode_end": "penalty", "end_penalty": -5.0}
HORIZON = {"episode_end": "fixed_horizon", "horizon": 30, "end_penalty": -5.0}


@pytest.mark.parametrize(
    ("changes", "fall"), [({}, 0.0), ({"episode_end": "hide"}, 0.0), (PENALTY, -5.0)]
)
def test_an_episode_of_the_game_is_scored_as_one(changes: dict[str, Any], fall: float) -> None:
    """By the game's own return: the penalty of an end is for teacher and agent."""
    config = EnvironmentConfig.model_validate({"id": "CartPole-v1", **changes})
    played = play(Left(), make(config, num_envs=6, seed=0), np.random.default_rng(0))
    assert (played.lengths <= 11).all()
    assert (played.returns == played.lengths).all()
    assert (played.true.sum(axis=0) == played.lengths + fall).all()


def test_under_a_fixed_horizon_an_episode_is_one_of_just_so_many_steps() -> None:
    config = EnvironmentConfig.model_validate({"id": "CartPole-v1", **HORIZON})
    played = play(Left(), make(config, num_envs=6, seed=0), np.random.default_rng(0))
    assert (played.lengths == 30).all()
    assert (played.returns == 30).all()
    assert (played.true.sum(axis=0) < 30 - 5).all()

"""Reward models judged on episodes: known values, and what cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learner.config import SegmentConfig
from learner.evaluation.episodes import Episodes
from learner.evaluation.scoring import RewardScores, judge

CONFIG = SegmentConfig(length=5)


@pytest.fixture
def episodes() -> Episodes:
    """40 episodes of 30 steps; the model's rewards are the true ones, twice as large."""
    true = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    return Episodes(
        returns=true.sum(axis=0, dtype=float),
        true=true,
        predicted=2 * true,
        lengths=np.full(40, 30),
        levels=np.arange(40),
    )


def judged(episodes: Episodes) -> RewardScores:
    return judge(episodes, CONFIG, 0.0, np.random.default_rng(1))


def test_a_model_of_the_true_reward_is_always_right(episodes: Episodes) -> None:
    scores = judged(episodes)
    assert scores.accuracy.estimate.value == 1.0
    assert scores.returns.spearman.value == pytest.approx(1.0)
    assert judged(replace(episodes, predicted=-episodes.true)).accuracy.estimate.value == 0.0


def test_what_the_environment_pays_without_a_number_is_left_out(episodes: Episodes) -> None:
    true, returns = episodes.true.copy(), episodes.returns.copy()
    true[12, 3], returns[3] = np.nan, np.nan
    true[29, 7], returns[7] = np.inf, np.inf
    scores = judged(replace(episodes, true=true, returns=returns))
    assert scores.accuracy.estimate.value == 1.0
    assert scores.returns.spearman.value == pytest.approx(1.0)
    assert scores.returns.spearman.n == 38
    nothing = judged(replace(episodes, true=np.full_like(true, np.nan), returns=returns * np.nan))
    assert nothing.accuracy.estimate.n == nothing.returns.spearman.n == 0

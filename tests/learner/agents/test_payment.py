from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from learner.agents.payment import RewardScale, pay, pay_true
from learner.config import AgentConfig


def members() -> np.ndarray:
    """Two members, two steps, one environment: means 2 and 0, deviations 1 and 3."""
    return np.array([[[1.0], [3.0]], [[3.0], [-3.0]]], np.float32)


def test_plain_payment_is_the_mean_of_the_members():
    assert pay(members(), AgentConfig(), first_step=0).tolist() == [[2.0], [0.0]]


def test_pessimism_subtracts_k_deviations():
    assert pay(members(), AgentConfig(pessimism=0.5), first_step=0).tolist() == [[1.5], [-1.5]]


def test_exploration_bonus_decays_geometrically_per_environment_step():
    config = AgentConfig(exploration_bonus=0.4, exploration_decay=0.5)
    # beta = 0.4 at step 0 and 0.2 at step 1; from step 2 on 0.1 and 0.05
    assert pay(members(), config, first_step=0) == pytest.approx(np.array([[2.4], [0.6]]))
    assert pay(members(), config, first_step=2) == pytest.approx(np.array([[2.1], [0.15]]))


def test_bonus_counts_the_steps_of_all_environments():
    config = AgentConfig(exploration_bonus=1.0, exploration_decay=0.5)
    pair = np.stack([np.zeros((2, 3)), np.full((2, 3), 2.0)]).astype(np.float32)
    assert pay(pair, config, first_step=0)[:, 0] == pytest.approx([1 + 1, 1 + 0.5**3])


def test_a_single_member_pays_its_own_reward_whatever_the_options():
    config = AgentConfig(pessimism=3.0, exploration_bonus=1.0)
    assert np.array_equal(pay(members()[:1], config, first_step=0), members()[0])


def test_true_rewards_are_clipped_where_the_baseline_wants_it_and_only_there():
    rewards = np.array([[-7.0, -0.5], [0.25, 4.0]], np.float32)
    assert pay_true(rewards, AgentConfig(clip_rewards=True)).tolist() == [[-1, -0.5], [0.25, 1]]
    assert pay_true(rewards, AgentConfig()).tolist() == rewards.tolist()


def test_constant_rewards_are_divided_by_the_deviation_of_their_returns():
    scale = RewardScale(1, gamma=0.5)
    rewards = np.ones((3, 1), np.float32)
    # discounted returns 1, 1.5, 1.75
    expected = np.std([1, 1.5, 1.75])
    assert scale.scale(rewards, np.zeros((3, 1), bool)) == pytest.approx(
        rewards / expected, rel=1e-3
    )


def test_returns_start_anew_after_an_episodes_end():
    scale = RewardScale(1, gamma=1.0)
    ends = np.array([[True], [False], [True]])
    scale.scale(np.array([[1], [2], [3]], np.float32), ends)  # returns 1, 2, 5
    assert scale.deviation == pytest.approx(np.std([1, 2, 5]), rel=1e-3)


def test_scaled_rewards_are_clipped_but_not_centred():
    scale = RewardScale(64, gamma=0.999)
    rewards = np.zeros((256, 64), np.float32)
    rewards[0, 0] = 1e6
    rewards[:, 1] = 1.0
    scaled = scale.scale(rewards, np.ones((256, 64), bool))
    assert scaled.max() == 10.0
    assert scaled[5, 2] == 0.0
    assert (scaled[:, 1] > 0).all()


def test_statistics_agree_with_vec_normalize_over_the_same_steps():
    rng = np.random.default_rng(0)
    rewards = rng.normal(1.0, 2.0, (40, 3)).astype(np.float32)
    ends = rng.random((40, 3)) < 0.1
    stock = _vec_normalize(3, gamma=0.9)
    for reward, end in zip(rewards, ends, strict=True):
        stock._update_reward(reward)
        stock.returns[end] = 0
    scale = RewardScale(3, gamma=0.9)
    scale.scale(rewards[:17], ends[:17])
    scale.scale(rewards[17:], ends[17:])
    assert scale.deviation == pytest.approx(np.sqrt(stock.ret_rms.var), rel=1e-4)


def _vec_normalize(num_envs: int, gamma: float) -> VecNormalize:
    import gymnasium

    env = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * num_envs)
    normalised = VecNormalize(env, gamma=gamma)
    normalised.returns = np.zeros(num_envs)
    return normalised


def test_scale_goes_on_exactly_from_its_state():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 30, 4)).astype(np.float32)
    ends = rng.random((30, 4)) < 0.1
    unbroken, resumed = RewardScale(4, 0.99), RewardScale(4, 0.99)
    unbroken.scale(first, ends)
    resumed.load_state_dict(unbroken.state_dict())
    assert np.array_equal(unbroken.scale(second, ends), resumed.scale(second, ends))

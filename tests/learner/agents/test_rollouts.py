from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer

from learner.agents.rollouts import ANCHOR_EVERY, Decision, Rollout, advantages, allocate, fill


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None]


def test_monte_carlo_return_less_value_at_lambda_one():
    gains = advantages(
        column(1, 2, 3),
        column(0.5, 0.5, 0.5),
        np.array([10], np.float32),
        np.zeros((3, 1), bool),
        gamma=0.5,
        gae_lambda=1.0,
    )
    # returns: 3 + 0.5 * 10 = 8, then 2 + 4 = 6, then 1 + 3 = 4
    assert gains[:, 0] == pytest.approx([3.5, 5.5, 7.5])


def test_one_step_difference_at_lambda_zero():
    gains = advantages(
        column(1, 2),
        column(3, 5),
        np.array([7], np.float32),
        np.zeros((2, 1), bool),
        gamma=0.5,
        gae_lambda=0.0,
    )
    assert gains[:, 0] == pytest.approx([1 + 2.5 - 3, 2 + 3.5 - 5])


def test_nothing_flows_back_over_an_episodes_end():
    gains = advantages(
        column(1, 100),
        column(0.25, 50),
        np.array([1000], np.float32),
        np.array([[True], [False]]),
        gamma=0.99,
        gae_lambda=0.95,
    )
    assert gains[0, 0] == pytest.approx(0.75)


def test_agrees_with_sb3_on_random_rollouts():
    rng = np.random.default_rng(0)
    steps, envs = 50, 4
    rewards, values = rng.normal(size=(2, steps, envs)).astype(np.float32)
    last_values = rng.normal(size=envs).astype(np.float32)
    ends = rng.random((steps, envs)) < 0.2
    box = spaces.Box(-1, 1, (1,))
    buffer = RolloutBuffer(steps, box, box, gae_lambda=0.9, gamma=0.97, n_envs=envs)
    buffer.rewards, buffer.values = rewards, values
    buffer.episode_starts[1:] = ends[:-1]
    buffer.compute_returns_and_advantage(torch.from_numpy(last_values), ends[-1])
    gains = advantages(rewards, values, last_values, ends, gamma=0.97, gae_lambda=0.9)
    np.testing.assert_allclose(gains, buffer.advantages, rtol=1e-5, atol=1e-6)


def push_right(observations: np.ndarray) -> Decision:
    """Pushes all carts to the right, and values each state at its cart's position."""
    ones = np.ones(len(observations), np.int64)
    return Decision(ones, ones, observations[:, 0], np.zeros(len(observations), np.float32))


@pytest.fixture
def rollout(cartpoles) -> Rollout:
    env = cartpoles(3, limit=8)
    rollout = allocate(env, 2 * ANCHOR_EVERY + 1)
    fill(rollout, env, push_right, np.zeros(3, np.int64), capture=True)
    return rollout


def test_steps_are_aligned_with_the_observation_before_the_action(rollout, cartpoles):
    env = cartpoles(3, limit=8)
    for t in range(rollout.steps):
        assert np.array_equal(rollout.observations[t], env.observe())
        assert np.array_equal(rollout.values[t], env.observe()[:, 0])
        _, rewards, ends, _ = env.step(rollout.actions[t])
        assert np.array_equal(rollout.true_rewards[t], rewards)
        assert np.array_equal(rollout.ends[t], ends)
    assert np.array_equal(rollout.last_values, env.observe()[:, 0])


def test_episode_times_count_from_each_episodes_start(rollout):
    for n in range(3):
        expected = 0
        for t in range(rollout.steps):
            assert rollout.episode_times[t, n] == expected
            expected = 0 if rollout.ends[t, n] else expected + 1


def test_time_limits_are_told_from_falls_and_keep_the_last_observation(rollout):
    assert rollout.truncated.any()
    assert (rollout.ends | ~rollout.truncated).all()
    assert set(rollout.terminal_observations) == set(map(tuple, np.argwhere(rollout.ends).tolist()))
    # pushed to the right all the time, a cart is fast at the end, and slow after the reset
    for (t, n), last in rollout.terminal_observations.items():
        assert last[1] > 1
        assert t + 1 == rollout.steps or abs(rollout.observations[t + 1, n, 1]) < 0.1


def test_finished_episodes_hold_true_return_and_length(rollout):
    assert len(rollout.finished) == rollout.ends.sum()
    assert all(total == length <= 8 for total, length, _ in rollout.finished)


def test_anchors_restore_the_state_before_their_step(rollout, cartpoles):
    assert sorted(rollout.anchors) == [0, ANCHOR_EVERY, 2 * ANCHOR_EVERY]
    env = cartpoles(1, limit=8)
    env.load(0, rollout.anchors[ANCHOR_EVERY][2])
    for t in range(ANCHOR_EVERY, rollout.steps):
        assert np.array_equal(env.observe()[0], rollout.observations[t, 2])
        env.step(rollout.actions[t, 2:3])


def test_no_snapshots_without_capture(cartpoles):
    env = cartpoles(2)
    rollout = allocate(env, 4)
    fill(rollout, env, push_right, np.zeros(2, np.int64), capture=False)
    assert rollout.anchors == {}


def test_a_shorter_rollout_is_a_view_of_the_same_arrays(cartpoles):
    whole = allocate(cartpoles(2), 10)
    part = whole.first(3)
    part.true_rewards[:] = 7
    assert part.steps == 3
    assert part.observations.shape == (3, 2, 4)
    assert (whole.true_rewards[:3] == 7).all()
    assert (whole.true_rewards[3:] == 0).all()


def test_hidden_ends_still_count_as_finished_episodes(cartpoles):
    env = cartpoles(2, limit=5)
    step_wait = env.step_wait

    def hide_ends():
        observations, rewards, ends, infos = step_wait()
        return observations, rewards, np.zeros_like(ends), infos

    env.step_wait = hide_ends
    rollout = allocate(env, 12)
    fill(rollout, env, push_right, np.zeros(2, np.int64), capture=False)
    assert len(rollout.finished) == 4
    assert not rollout.terminal_observations
    assert not rollout.truncated.any()

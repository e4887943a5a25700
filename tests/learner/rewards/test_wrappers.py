"""A reward model in Gymnasium's and SB3's own training."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from learner.config import EnvironmentConfig, RewardConfig
from learner.devices import DeviceError
from learner.envs.registry import make
from learner.rewards.ensemble import ForeignRewardModel, RewardEnsemble
from learner.rewards.packing import UnreadableRewardModel, pack, unpack
from learner.rewards.wrappers import TRUE_REWARD, LearnedReward, LearnedRewardVecEnv


def cartpole_model(**config: object) -> RewardEnsemble:
    env = gymnasium.make("CartPole-v1")
    settings = RewardConfig.model_validate({"network": "mlp", "input_noise": 0.0, **config})
    return RewardEnsemble(env.observation_space, env.action_space, settings, seed=1)


def test_a_packed_model_gives_the_same_rewards() -> None:
    model = cartpole_model()
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    again = unpack(pack(model))
    np.testing.assert_array_equal(again.members(observations), model.members(observations))


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_damaged_content_is_refused_in_one_line(content: bytes | None) -> None:
    damaged = pack(cartpole_model())[:1000] if content is None else content
    with pytest.raises(UnreadableRewardModel, match="export it again"):
        unpack(damaged)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_here_is_not_taken_for_damage() -> None:
    with pytest.raises(DeviceError, match="no CUDA device here"):
        unpack(pack(cartpole_model()), device="cuda")


def test_the_reward_is_that_of_the_observation_before_the_action() -> None:
    model = cartpole_model(use_action=True)
    env = LearnedReward(gymnasium.make("CartPole-v1"), model)
    before, _ = env.reset(seed=3)
    for action in (1, 0, 1):
        after, paid, _, _, info = env.step(action)
        assert paid == pytest.approx(float(model.rewards(before[None], np.array([action]))[0]))
        assert info[TRUE_REWARD] == 1.0
        before = after


def test_the_first_frame_of_the_next_episode_is_never_paid_for_the_last_step() -> None:
    """CartPole under SB3 resets itself: what comes with `done` is the next episode's start."""
    model = cartpole_model()
    env = LearnedRewardVecEnv(make_vec_env("CartPole-v1", n_envs=2, seed=0), model)
    before = env.reset()
    ended = 0
    for _ in range(60):
        after, paid, dones, _ = env.step(np.array([1, 1]))
        np.testing.assert_allclose(paid, model.rewards(before), rtol=1e-6)
        ended += int(dones.sum())
        before = after
    assert ended >= 2


def test_sb3_trains_on_it() -> None:
    env = LearnedRewardVecEnv(make_vec_env("CartPole-v1", n_envs=2, seed=0), cartpole_model())
    PPO("MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=1, seed=0).learn(64)


def fitted_in(name: str, **config: object) -> RewardEnsemble:
    """A model for what a run of this environment sees."""
    env = make(EnvironmentConfig(id=name), num_envs=1, seed=0)
    settings = RewardConfig.model_validate({"network": "mlp", "input_noise": 0.0, **config})
    return RewardEnsemble(env.observation_space, env.action_space, settings, seed=1)


@pytest.mark.parametrize("name", ["Hopper-v5", "Taxi-v4", "CartPole-v1", "Blackjack-v1"])
def test_environments_are_wrapped_as_they_are(name: str) -> None:
    """MuJoCo shows float64, Taxi a number, Blackjack a tuple; a run's model reads vectors."""
    model = fitted_in(name, use_action=True)
    env = LearnedReward(gymnasium.make(name), model)
    seen, _ = env.reset(seed=3)
    action = env.action_space.sample()
    vector = np.asarray(gymnasium.spaces.flatten(env.observation_space, seen), np.float32)
    _, paid, *_ = env.step(action)
    assert paid == pytest.approx(float(model.rewards(vector[None], np.asarray(action)[None])[0]))


@pytest.mark.parametrize("name", ["Hopper-v5", "Taxi-v4"])
def test_so_are_sb3s(name: str) -> None:
    model = fitted_in(name, use_action=True)
    env = LearnedRewardVecEnv(make_vec_env(name, n_envs=2, seed=0), model)
    seen = env.reset()
    space = env.observation_space
    vectors = np.stack([gymnasium.spaces.flatten(space, one) for one in seen]).astype(np.float32)
    actions = np.stack([env.action_space.sample() for _ in range(2)])
    _, paid, _, _ = env.step(actions)
    np.testing.assert_allclose(paid, model.rewards(vectors, actions), rtol=1e-6)


def test_a_model_of_other_actions_is_refused_where_it_reads_them() -> None:
    env = make_vec_env("Pendulum-v1", n_envs=1)
    space = env.observation_space
    settings = RewardConfig(network="mlp", use_action=True)
    model = RewardEnsemble(space, gymnasium.spaces.Discrete(3), settings, seed=0)
    with pytest.raises(ForeignRewardModel, match=r"reads actions Discrete.*the environment takes"):
        LearnedRewardVecEnv(env, model)
    blind = settings.model_copy(update={"use_action": False})
    LearnedRewardVecEnv(env, RewardEnsemble(space, gymnasium.spaces.Discrete(3), blind, seed=0))


def test_a_model_of_other_observations_is_refused() -> None:
    with pytest.raises(ForeignRewardModel, match="the environment shows"):
        LearnedReward(gymnasium.make("Acrobot-v1"), cartpole_model())

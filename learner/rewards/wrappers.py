"""A stored reward model in somebody else's training: wrappers for Gymnasium and for SB3.

    model = unpack(Path("reward-model.pt").read_bytes())
    env = LearnedRewardVecEnv(make_vec_env("CartPole-v1", n_envs=8), model)
    PPO("MlpPolicy", env).learn(100_000)

The reward paid for a step is that of the observation before the action (and of the action, where
the model was fitted so), never of the observation that the step returned: after an episode's end
that one belongs to the next episode.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from learner.rewards.ensemble import ForeignRewardModel, RewardEnsemble

TRUE_REWARD = "true_reward"
"""Key of the info in which the environment's own reward is kept, for evaluation."""


class LearnedReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A Gymnasium environment that pays the learned reward."""

    def __init__(self, env: gymnasium.Env[Any, Any], model: RewardEnsemble) -> None:
        """Wrap an environment.

        Raises:
            ForeignRewardModel: the model was fitted to other observations.
        """
        super().__init__(env)
        _check(model, env.observation_space)
        self._model = model
        self._seen: NDArray[Any] | None = None

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(**kwargs)
        self._seen = np.asarray(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action; the environment's own reward is in the info."""
        assert self._seen is not None, "reset first"
        paid = float(self._model.rewards(self._seen[None], np.asarray(action)[None])[0])
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._seen = np.asarray(observation)
        return observation, paid, terminated, truncated, {**info, TRUE_REWARD: float(reward)}


class LearnedRewardVecEnv(VecEnvWrapper):
    """An SB3 vectorised environment that pays the learned reward, in one pass per step."""

    def __init__(self, venv: VecEnv, model: RewardEnsemble) -> None:
        """Wrap environments.

        Raises:
            ForeignRewardModel: the model was fitted to other observations.
        """
        super().__init__(venv)
        _check(model, venv.observation_space)
        self._model = model
        self._seen: NDArray[Any] | None = None
        self._actions: NDArray[Any] | None = None

    def reset(self) -> NDArray[Any]:
        """Begin an episode in every environment."""
        self._seen = np.array(self.venv.reset())
        return self._seen

    def step_async(self, actions: NDArray[Any]) -> None:
        """Start a step."""
        self._actions = np.array(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[Any], list[Any]]:
        """Finish it; the environments' own rewards are in the infos."""
        assert self._seen is not None, "reset first"
        observations, rewards, dones, infos = self.venv.step_wait()
        paid = self._model.rewards(self._seen, self._actions)
        self._seen = np.array(observations)
        told = [
            {**info, TRUE_REWARD: float(reward)}
            for info, reward in zip(infos, rewards, strict=True)
        ]
        return self._seen, paid, dones, told


def _check(model: RewardEnsemble, observations: gymnasium.Space[Any]) -> None:
    wanted = model.observation_space
    if wanted.shape != observations.shape or wanted.dtype != observations.dtype:
        raise ForeignRewardModel(
            f"this reward model reads {wanted}, the environment shows {observations}; "
            "wrap the environment so that both agree"
        )

"""A stored reward model in somebody else's training: wrappers for Gymnasium and for SB3.

    model = unpack(Path("reward-model.pt").read_bytes())
    env = LearnedRewardVecEnv(make_vec_env("CartPole-v1", n_envs=8), model)
    PPO("MlpPolicy", env).learn(100_000)

The reward paid for a step is that of the observation before the action (and of the action, where
the model was fitted so), never of the observation that the step returned: after an episode's end
that one belongs to the next episode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from learner.envs.gymnasium import viewed
from learner.envs.protocol import UnavailableEnvironment
from learner.rewards.ensemble import ForeignRewardModel, RewardEnsemble

TRUE_REWARD = "true_reward"
"""Key of the info in which the environment's own reward is kept, for evaluation."""


class LearnedReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A Gymnasium environment that pays the learned reward."""

    def __init__(self, env: gymnasium.Env[Any, Any], model: RewardEnsemble) -> None:
        """Wrap an environment.

        Raises:
            ForeignRewardModel: the model was fitted to other observations or actions.
        """
        super().__init__(env)
        self._reader = _Reader(model, env.observation_space, env.action_space)
        self._seen: Any = None

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(**kwargs)
        self._seen = observation
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action; the environment's own reward is in the info."""
        assert self._seen is not None, "reset first"
        # Before the step: an environment may show the same array again, changed.
        paid = float(self._reader.rewards([self._seen], np.asarray(action)[None])[0])
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._seen = observation
        return observation, paid, terminated, truncated, {**info, TRUE_REWARD: float(reward)}


class LearnedRewardVecEnv(VecEnvWrapper):
    """An SB3 vectorised environment that pays the learned reward, in one pass per step."""

    def __init__(self, venv: VecEnv, model: RewardEnsemble) -> None:
        """Wrap environments.

        Raises:
            ForeignRewardModel: the model was fitted to other observations or actions.
        """
        super().__init__(venv)
        self._reader = _Reader(model, venv.observation_space, venv.action_space)
        self._seen: Any = None
        self._paid = np.zeros(venv.num_envs, np.float32)

    def reset(self) -> Any:
        """Begin an episode in every environment."""
        self._seen = self.venv.reset()
        return self._seen

    def step_async(self, actions: NDArray[Any]) -> None:
        """Start a step, paid for what is seen now."""
        assert self._seen is not None, "reset first"
        self._paid = self._reader.rewards(self._reader.singles(self._seen), actions)
        self.venv.step_async(actions)

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[Any], list[Any]]:
        """Finish it; the environments' own rewards are in the infos."""
        observations, rewards, dones, infos = self.venv.step_wait()
        self._seen = observations
        told = [
            {**info, TRUE_REWARD: float(reward)}
            for info, reward in zip(infos, rewards, strict=True)
        ]
        return observations, self._paid, dones, told


class _Reader:
    """Turns what an environment shows and takes into what the model was fitted to.

    Runs see images as they are and everything else as one float32 vector (MuJoCo gives float64,
    Taxi a number), and so must the model.
    """

    def __init__(
        self,
        model: RewardEnsemble,
        observations: gymnasium.Space[Any],
        actions: gymnasium.Space[Any],
    ) -> None:
        self._model = model
        self._space = observations
        self._view = _view(model.observation_space, observations)
        if model.config.use_action and not _alike(model.action_space, actions):
            raise ForeignRewardModel(
                f"this reward model reads actions {model.action_space}, the environment takes "
                f"{actions}; wrap the environment so that both agree"
            )

    def rewards(self, observations: Any, actions: Any) -> NDArray[np.float32]:
        """(n,) for a list of n observations and (n, ...) actions."""
        seen = np.stack([self._view(one) for one in observations])
        return self._model.rewards(seen, np.asarray(actions))

    def singles(self, observations: Any) -> list[Any]:
        """What SB3 gives for n environments, one by one: of a dict, the entries are batched."""
        if isinstance(observations, dict):
            count = len(next(iter(observations.values())))
            return [{key: one[n] for key, one in observations.items()} for n in range(count)]
        return list(observations)


def _view(
    wanted: gymnasium.Space[Any], shown: gymnasium.Space[Any]
) -> Callable[[Any], NDArray[Any]]:
    """What maps an observation to the model's input.

    Raises:
        ForeignRewardModel: nothing does.
    """
    if _alike(wanted, shown):
        return lambda seen: np.asarray(seen, wanted.dtype)
    try:
        space, view = viewed("the environment", shown)
    except UnavailableEnvironment as error:
        raise ForeignRewardModel(str(error)) from error
    if _alike(wanted, space):
        return view
    raise ForeignRewardModel(
        f"this reward model reads {wanted}, the environment shows {shown}; "
        "wrap the environment so that both agree"
    )


def _alike(one: gymnasium.Space[Any], other: gymnasium.Space[Any]) -> bool:
    """Whether values of either can stand for the other's: bounds and width of floats may differ."""
    if isinstance(one, gymnasium.spaces.Discrete):
        return isinstance(other, gymnasium.spaces.Discrete) and (one.n, one.start) == (
            other.n,
            other.start,
        )
    return (
        type(one) is type(other)
        and one.shape == other.shape
        and np.dtype(one.dtype).kind == np.dtype(other.dtype).kind
    )

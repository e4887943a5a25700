"""A real environment behind our protocol, small enough to see through."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest

from learner.envs.protocol import NOTHING, Environments


class CartPoles(Environments):
    """CartPole with episodes cut after `limit` steps, restored by pickling its attributes."""

    def __init__(self, num_envs: int, seed: int = 0, limit: int = 20) -> None:
        self._envs = [gymnasium.make("CartPole-v1").unwrapped for _ in range(num_envs)]
        self._limit = limit
        super().__init__(num_envs, self._envs[0].observation_space, self._envs[0].action_space)
        self._seed = seed

    def reset(self):
        self._observations = np.stack(
            [env.reset(seed=self._seed + n)[0] for n, env in enumerate(self._envs)]
        )
        self._times = np.zeros(self.num_envs, int)
        return self.observe()

    def observe(self):
        return self._observations.copy()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self):
        infos: list[dict[str, Any]] = [NOTHING] * self.num_envs
        ends = np.zeros(self.num_envs, bool)
        for n, env in enumerate(self._envs):
            observation, _, terminated, _, _ = env.step(int(self._actions[n]))
            self._times[n] += 1
            truncated = self._times[n] == self._limit and not terminated
            if terminated or truncated:
                ends[n] = True
                length = int(self._times[n])
                infos[n] = {
                    "episode": {"r": float(length), "l": length, "level": -1},
                    "TimeLimit.truncated": truncated,
                    "terminal_observation": observation,
                }
                observation, _ = env.reset()
                self._times[n] = 0
            self._observations[n] = observation
        return self.observe(), np.ones(self.num_envs, np.float32), ends, infos

    def save(self, index: int) -> bytes:
        env = self._envs[index]
        state = (env.state, env.np_random, self._observations[index], self._times[index])
        return pickle.dumps((*state, env.steps_beyond_terminated))

    def load(self, index: int, state: bytes) -> None:
        env = self._envs[index]
        env.state, env.np_random, observation, self._times[index], beyond = pickle.loads(state)
        env.steps_beyond_terminated = beyond
        self._observations[index] = observation

    def restart(self, indices):
        raise NotImplementedError

    def levels(self):
        return np.full(self.num_envs, -1, np.int64)

    def render_people(self, index: int = 0):
        raise NotImplementedError

    def close(self) -> None:
        for env in self._envs:
            env.close()


@pytest.fixture
def cartpoles():
    """Makes batches of CartPoles, reset."""

    def make(num_envs: int = 4, **options: Any) -> CartPoles:
        env = CartPoles(num_envs, **options)
        env.reset()
        return env

    return make

"""A layer around environments: all that it does not change goes straight through."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from learner.envs.protocol import Environments, Step


class Layer(Environments):
    """Environments that wrap others."""

    def __init__(self, inner: Environments, observation_space: Space[Any]) -> None:
        self._inner = inner
        super().__init__(inner.num_envs, observation_space, inner.action_space)
        self.replayable, self.pictures, self.fps = inner.replayable, inner.pictures, inner.fps
        self.limit = inner.limit

    def reset(self) -> NDArray[Any]:
        """Start a new episode wherever one is under way."""
        return self._inner.reset()

    def restart(self, indices: NDArray[np.intp]) -> None:
        """Give up the running episodes of some environments; `observe` shows their new ones."""
        self._inner.restart(indices)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Start a step."""
        self._inner.step_async(actions)

    def step_wait(self) -> Step:
        """Observations, true rewards, ends and infos of the step started last."""
        return self._inner.step_wait()

    def observe(self) -> NDArray[Any]:
        """(num_envs, ...) current observations."""
        return self._inner.observe()

    def save(self, index: int) -> bytes:
        """Snapshot of one environment."""
        return self._inner.save(index)

    def load(self, index: int, state: bytes) -> None:
        """Put one environment into a snapshot."""
        self._inner.load(index, state)

    def levels(self) -> NDArray[np.int64]:
        """(num_envs,) level seed of the running episodes."""
        return self._inner.levels()

    def render_people(self, index: int = 0) -> NDArray[np.uint8]:
        """(H, W, 3) one environment as people see it."""
        return self._inner.render_people(index)

    def close(self) -> None:
        """Close the environments."""
        self._inner.close()

"""The last frames seen at once, for any family."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from learner.envs.layer import Layer
from learner.envs.protocol import Environments, Info, Step


class FrameStack(Layer):
    """Stacks the last `depth` observations along the last axis, oldest first.

    An episode starts with its first frame repeated, so nothing of the last one is seen in it; past
    an end that is hidden from the agent the frames run on.
    """

    def __init__(self, inner: Environments, depth: int) -> None:
        space = inner.observation_space
        assert isinstance(space, spaces.Box)
        self._depth, self._channels = depth, space.shape[-1]
        low, high = self._repeated(space.low), self._repeated(space.high)
        super().__init__(inner, spaces.Box(low, high, dtype=low.dtype.type))
        self._frames = self._repeated(inner.observe())

    def reset(self) -> NDArray[Any]:
        """Start a new episode wherever one is under way."""
        self._frames = self._repeated(self._inner.reset())
        return self.observe()

    def restart(self, indices: NDArray[np.intp]) -> None:
        """Give up the running episodes of some environments; `observe` shows their new ones."""
        self._inner.restart(indices)
        self._frames[indices] = self._repeated(self._inner.observe()[indices])

    def step_wait(self) -> Step:
        """Observations, true rewards, ends and infos of the step started last."""
        seen, rewards, ends, infos = self._inner.step_wait()
        infos = [
            self._with_history(info, index) if "terminal_observation" in info else info
            for index, info in enumerate(infos)
        ]
        self._frames = np.concatenate([self._frames[..., self._channels :], seen], axis=-1)
        if ends.any():
            self._frames[ends] = self._repeated(seen[ends])
        return self.observe(), rewards, ends, infos

    def _with_history(self, info: Info, index: int) -> Info:
        """An info whose terminal observation has the frames before it."""
        earlier = self._frames[index, ..., self._channels :]
        last = np.concatenate([earlier, info["terminal_observation"]], axis=-1)
        return {**info, "terminal_observation": last}

    def _repeated(self, seen: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([seen] * self._depth, axis=-1)

    def observe(self) -> NDArray[Any]:
        """(num_envs, ..., depth x channels) current observations."""
        return self._frames.copy()

    def save(self, index: int) -> bytes:
        """Snapshot of one environment and of the frames seen last."""
        own: bytes = self._frames[index].tobytes()
        return own + self._inner.save(index)

    def load(self, index: int, state: bytes) -> None:
        """Put one environment into a snapshot."""
        own = self._frames[index]
        self._frames[index] = np.frombuffer(state, own.dtype, own.size).reshape(own.shape)
        self._inner.load(index, state[own.nbytes :])
        if not self.replayable:  # another episode has begun
            self._frames[index] = self._repeated(self._inner.observe()[index])

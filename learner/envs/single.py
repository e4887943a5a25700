"""Batches of environments that come one by one: stepped in a loop, reset as Procgen resets."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from learner.envs.episodes import Episodes
from learner.envs.protocol import NOTHING, Environments, Info, Step


class Stream:
    """Seeds of one environment's episodes, in order; small enough to be in every snapshot."""

    _PACKED = struct.Struct("<4q")
    SIZE = _PACKED.size

    def __init__(self, seed: int, split: int, index: int) -> None:
        self._names = (seed, split, index)
        self._episode = 0

    def current(self) -> int:
        """The running episode's seed, below 2**31."""
        state = np.random.SeedSequence([*self._names, self._episode]).generate_state(1)
        return int(state[0]) & 0x7FFFFFFF

    def advance(self) -> int:
        """Go on to the next episode's seed."""
        self._episode += 1
        return self.current()

    def pack(self) -> bytes:
        """The position, `SIZE` bytes."""
        return self._PACKED.pack(*self._names, self._episode)

    def unpack(self, state: bytes) -> bytes:
        """Take a position off the front of a snapshot; returns the rest."""
        *names, self._episode = self._PACKED.unpack_from(state)
        self._names = (names[0], names[1], names[2])
        return state[self.SIZE :]


class Single(ABC):
    """One environment.

    Attributes:
        observation_space: uint8 images (H, W, C) or float32 vectors.
        action_space: as Stable-Baselines3 takes them.
        replayable: whether `save` and `load` put it back exactly.
        pictures: whether `render` has something to show.
        fps: frames per second at natural speed.
        limit: steps after which an episode is truncated; None = never.
    """

    observation_space: Space[Any]
    action_space: Space[Any]
    replayable: bool
    pictures: bool
    fps: int
    limit: int | None

    @abstractmethod
    def reset(self) -> NDArray[Any]:
        """Start the next episode; its first observation."""

    @abstractmethod
    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool]:
        """Observation, reward, terminated, truncated."""

    @abstractmethod
    def save(self) -> bytes:
        """Snapshot, enough to go on from here with equal results."""

    @abstractmethod
    def load(self, state: bytes) -> NDArray[Any]:
        """Go back to a snapshot; the observation at that time."""

    @abstractmethod
    def render(self) -> NDArray[np.uint8]:
        """(H, W, 3) as people see it."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds."""


class SingleEnvironments(Environments):
    """A batch of `Single`s of one kind."""

    def __init__(self, singles: Sequence[Single]) -> None:
        self._singles = list(singles)
        first = self._singles[0]
        super().__init__(len(self._singles), first.observation_space, first.action_space)
        self.replayable, self.pictures, self.fps = first.replayable, first.pictures, first.fps
        self.limit = first.limit
        self._episodes = Episodes(self.num_envs)
        self._observations: NDArray[Any] = np.stack([single.reset() for single in self._singles])
        self._actions: NDArray[Any] | None = None

    def reset(self) -> NDArray[Any]:
        """Start a new episode wherever one is under way."""
        self.restart(np.flatnonzero(self._episodes.lengths))
        return self.observe()

    def restart(self, indices: NDArray[np.intp]) -> None:
        """Give up the running episodes of some environments; `observe` shows their new ones."""
        for index in indices:
            self._observations[index] = self._singles[index].reset()
        self._episodes.clear(indices)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`, which takes the step."""
        self._actions = np.asarray(actions)

    def step_wait(self) -> Step:
        """Observations, true rewards, ends and infos of one step."""
        assert self._actions is not None, "step_wait without step_async"
        rewards = np.zeros(self.num_envs, np.float32)
        outcomes = []
        for index, (single, action) in enumerate(zip(self._singles, self._actions, strict=True)):
            observation, rewards[index], terminated, truncated = single.step(action)
            self._observations[index] = observation
            outcomes.append((terminated, truncated))
        self._actions = None
        self._episodes.add(rewards)
        infos = [NOTHING] * self.num_envs
        ends = np.zeros(self.num_envs, np.bool_)
        for index, (terminated, truncated) in enumerate(outcomes):
            limit = self._singles[index].limit
            late = limit is not None and self._episodes.lengths[index] >= limit
            ends[index] = terminated or truncated or late
            if ends[index]:
                infos[index] = self._ended(index, truncated=not terminated)
        return self.observe(), rewards, ends, infos

    def _ended(self, index: int, *, truncated: bool) -> Info:
        """Say how an episode ended, and start the next."""
        info = {
            "episode": self._episodes.finish(index),
            "TimeLimit.truncated": truncated,
            "terminal_observation": self._observations[index].copy(),
        }
        self._observations[index] = self._singles[index].reset()
        return info

    def observe(self) -> NDArray[Any]:
        """(num_envs, ...) current observations."""
        return self._observations.copy()

    def save(self, index: int) -> bytes:
        """Snapshot of one environment, its episode's return and length included."""
        return self._episodes.pack(index) + self._singles[index].save()

    def load(self, index: int, state: bytes) -> None:
        """Put one environment into a snapshot, also one of another batch of its kind.

        One that is not `replayable` begins another episode instead.
        """
        rest = self._episodes.unpack(index, state)
        if not self.replayable:  # another episode begins, so nothing of the old one counts
            self._episodes.clear(index)
        self._observations[index] = self._singles[index].load(rest)

    def levels(self) -> NDArray[np.int64]:
        """(num_envs,) -1: these families have no levels."""
        return np.full(self.num_envs, -1, np.int64)

    def render_people(self, index: int = 0) -> NDArray[np.uint8]:
        """(H, W, 3) one environment as people see it."""
        return self._singles[index].render()

    def close(self) -> None:
        """Close every environment."""
        for single in self._singles:
            single.close()

"""What every environment family offers: a batch of environments that can be put back.

SB3's `VecEnv` interface, plus snapshot, restore and a view for people. Auto-reset as in SB3:
the observation returned with `done` is the first of the next episode.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

Split = Literal["train", "test"]


class UnavailableEnvironment(ValueError):
    """An environment that cannot be made here; the message says what to install or change."""


class Environments(VecEnv):
    """A batch of environments of one family.

    Attributes:
        replayable: whether `save` and `load` put one environment back exactly.
        fps: frames per second at which people see it at natural speed.
    """

    replayable: bool = True
    fps: int = 15

    @abstractmethod
    def observe(self) -> NDArray[Any]:
        """(num_envs, ...) current observations, as the last `reset` or `step` returned."""

    @abstractmethod
    def save(self, index: int) -> bytes:
        """Snapshot of one environment, enough to go on from here with equal results."""

    @abstractmethod
    def load(self, index: int, state: bytes) -> None:
        """Put one environment into a snapshot; `observe` shows it at once."""

    @abstractmethod
    def levels(self) -> NDArray[np.int64]:
        """(num_envs,) level seed of the running episodes, -1 where there are no levels."""

    @abstractmethod
    def render_people(self) -> NDArray[np.uint8]:
        """(H, W, 3) the first environment as people see it; made with `people_view=True`."""

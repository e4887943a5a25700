"""Return and length of the episodes that run in a batch, counted without a loop."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PACKED = struct.Struct("<dq")


class Episodes:
    """True return and length so far of one running episode per environment."""

    SIZE = _PACKED.size  # bytes in what `pack` returns

    def __init__(self, num_envs: int) -> None:
        self.returns = np.zeros(num_envs, np.float64)
        self.lengths = np.zeros(num_envs, np.int64)

    def add(self, rewards: NDArray[np.float32]) -> None:
        """Count one step of every environment; rewards: (num_envs,)."""
        self.returns += rewards
        self.lengths += 1

    def finish(self, index: int, level: int = -1) -> dict[str, Any]:
        """The episode that ended in one environment, which then starts from nothing."""
        episode = {
            "r": float(self.returns[index]),
            "l": int(self.lengths[index]),
            "level": int(level),
        }
        self.clear(index)
        return episode

    def clear(self, index: int | slice | NDArray[np.intp]) -> None:
        """Forget the running episodes of some environments."""
        self.returns[index] = 0.0
        self.lengths[index] = 0

    def pack(self, index: int) -> bytes:
        """One environment's counts, `SIZE` bytes."""
        return _PACKED.pack(self.returns[index], self.lengths[index])

    def unpack(self, index: int, state: bytes) -> bytes:
        """Take one environment's counts off the front of a snapshot; returns the rest."""
        self.returns[index], self.lengths[index] = _PACKED.unpack_from(state)
        return state[_PACKED.size :]

"""What training does to its inputs: Gaussian noise (Ibarz 2018) and temporal crops (SURF)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_POOL = 1 << 20


class InputNoise:
    """Adds Gaussian noise, from a pool of normals drawn once per fit.

    The inputs of a batch see windows of the pool that lie a random stride apart, from a random
    start: fresh normals for every pixel would take as long as the network's forward and
    backward pass, and gathering a window for each input half as long as its convolutions.
    """

    def __init__(self, std: float, device: torch.device, rng: np.random.Generator) -> None:
        """Draw the pool; `std` is in units of the scaled inputs (0-1, or 1 per feature)."""
        self._std = std
        self._rng = rng
        size = _POOL if std else 0
        pool = rng.standard_normal(size, dtype=np.float32) * np.float32(std)
        self._pool = torch.from_numpy(pool).to(device)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Scaled inputs (n, ...) with noise, changed in place."""
        if not self._std:
            return inputs
        self._pool = self._pool.to(inputs.dtype)
        width = inputs[0].numel()
        room = len(self._pool) - width
        most = room // len(inputs)
        stride = int(self._rng.integers(most // 2 + 1, most + 1))
        start = int(self._rng.integers(room - stride * (len(inputs) - 1) + 1))
        noise = self._pool[start:].as_strided((len(inputs), width), (stride, 1))
        if inputs.ndim == 4:  # CHW over HWC memory; the noise is in memory order
            n, channels, height, wide = inputs.shape
            return inputs.add_(noise.view(n, height, wide, channels).permute(0, 3, 1, 2))
        return inputs.add_(noise.view(inputs.shape))


def crop(valid: NDArray[np.bool_], most: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Leave out up to `most` steps per segment, as many in both segments of a pair.

    Which end they are cut from is drawn for each segment, so that time alignment breaks
    (SURF, 2203.10050, section 4.2); equal numbers keep the reward's constant out of it.

    Args:
        valid: (2 x pairs, L); the segments of a pair follow one another.
        most: most steps cut; 0 = none. At least one step stays.
        rng: where the draws come from.

    Returns:
        (2 x pairs, L) mask of the steps that are left.
    """
    length = valid.shape[1]
    most = min(most, length - 1)
    if not most:
        return valid
    cut = np.repeat(rng.integers(most + 1, size=len(valid) // 2), 2)
    head = rng.integers(cut + 1)
    steps = np.arange(length)
    inside = (steps >= head[:, None]) & (steps < (length - cut + head)[:, None])
    left: NDArray[np.bool_] = valid & inside
    return left

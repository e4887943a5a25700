"""What training does to its inputs: Gaussian noise (Ibarz 2018), crops in time (SURF), pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from learner.config import Augmentation

_POOL = 1 << 22  # normals: 17 MB
_SHIFT = 4
_JITTER = 0.3


class InputNoise:
    """Adds Gaussian noise, from a pool of normals drawn once per fit.

    Inputs take consecutive windows of the pool, from a random start, and a new random start where
    it ends: fresh normals for every pixel would take as long as the network's forward and
    backward pass, and gathering a window for each input half as long as its convolutions.
    """

    def __init__(self, std: float, device: torch.device, rng: np.random.Generator) -> None:
        """Get ready; `std` is in units of the scaled inputs (0-1, or 1 per feature)."""
        self._std = std
        self._rng = rng
        self._device = device
        self._pool = torch.empty(0)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Scaled inputs (n, ...) with noise, changed in place."""
        if not self._std:
            return inputs
        width = inputs[0].numel()
        pool = self._drawn(width, 8 * inputs.numel()).to(inputs.dtype)
        together = max(1, len(pool) // (2 * width))
        for first in range(0, len(inputs), together):
            part = inputs[first : first + together]
            start = int(self._rng.integers(len(pool) - part.numel() + 1))
            noise = pool[start : start + part.numel()]
            if inputs.ndim == 4:  # CHW over HWC memory; the noise is in memory order
                n, channels, height, wide = part.shape
                part.add_(noise.view(n, height, wide, channels).permute(0, 3, 1, 2))
            else:
                part.add_(noise.view(part.shape))
        return inputs

    def _drawn(self, width: int, wanted: int) -> Tensor:
        """The pool, drawn at first use: twice an input at least, and no more than is of use."""
        size = max(2 * width, min(_POOL, wanted))
        if len(self._pool) < 2 * width:
            pool = self._rng.standard_normal(size, dtype=np.float32) * np.float32(self._std)
            self._pool = torch.from_numpy(pool).to(self._device)
        return self._pool


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


def augment(
    images: Tensor, segments: int, kinds: Sequence[Augmentation], rng: np.random.Generator
) -> Tensor:
    """Change scaled images, the same way for all frames of a segment.

    Shifts and colours that change what a picture means (direction, progress, what is food) are
    the reason why none is on by default.

    Args:
        images: (segments x steps, C, H, W) in 0-1; vectors are returned as they are.
        segments: how many segments the batch holds.
        kinds: which changes, in this order.
        rng: source of every draw.
    """
    if not kinds or images.ndim != 4:
        return images
    parts = images.view(segments, -1, *images.shape[1:])
    changed = [_changed(part, kinds, rng) for part in parts]
    return torch.cat(changed).contiguous(memory_format=torch.channels_last)


def _changed(frames: Tensor, kinds: Sequence[Augmentation], rng: np.random.Generator) -> Tensor:
    """(steps, C, H, W) of one segment, changed."""
    for kind in kinds:
        frames = _AUGMENTATIONS[kind](frames, rng)
    return frames


def _shift(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """By up to 4 pixels, edges repeated (DrQ)."""
    height, width = frames.shape[-2:]
    top, left = (int(one) for one in rng.integers(2 * _SHIFT + 1, size=2))
    wide = pad(frames, (_SHIFT,) * 4, mode="replicate")
    return wide[..., top : top + height, left : left + width]


def _crop(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """A window of 7/8 of each side, scaled back."""
    height, width = frames.shape[-2:]
    tall, wide = max(1, 7 * height // 8), max(1, 7 * width // 8)
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    part = frames[..., top : top + tall, left : left + wide]
    return interpolate(part, (height, width), mode="bilinear", align_corners=False)


def _jitter(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Each channel brighter or darker by up to 30 %."""
    factors = 1 + _JITTER * (2 * rng.random(frames.shape[1], dtype=np.float32) - 1)
    scale = torch.from_numpy(factors).to(frames).view(1, -1, 1, 1)
    return (frames * scale).clamp(0, 1)


def _cutout(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """A rectangle of up to a third of each side, black."""
    height, width = frames.shape[-2:]
    tall = int(rng.integers(1, max(2, height // 3)))
    wide = int(rng.integers(1, max(2, width // 3)))
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    cut = frames.clone()
    cut[..., top : top + tall, left : left + wide] = 0
    return cut


def _random_convolution(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Other colours and textures by a random 3x3 layer (Lee et al. 2020)."""
    channels = frames.shape[1]
    drawn = rng.standard_normal((channels, channels, 3, 3), dtype=np.float32)
    kernel = torch.from_numpy(drawn / np.float32(3 * np.sqrt(channels))).to(frames)
    return conv2d(frames, kernel, padding=1).sigmoid()


def _grey(frames: Tensor, rng: np.random.Generator) -> Tensor:  # noqa: ARG001
    """The mean of the channels in each of them."""
    return frames.mean(dim=1, keepdim=True).expand_as(frames)


_AUGMENTATIONS: Mapping[Augmentation, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "shift": _shift,
    "crop": _crop,
    "jitter": _jitter,
    "cutout": _cutout,
    "random_convolution": _random_convolution,
    "grey": _grey,
}

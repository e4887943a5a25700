"""Three ways to ask which pixels a reward depends on, for any function of pictures.

All take a picture as (C, H, W) float32 in 0-1, frames of a stack as channels, and a reward
function from (n, C, H, W) to (n,). What they return is in units of the reward; scaling for
display is left to whoever draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

Reward = Callable[[Tensor], Tensor]
"""(n, C, H, W) pictures in 0-1 to (n,) rewards."""
Floats = NDArray[np.float32]

PATH_STEPS = 32
"""Pictures between black and the one asked about, at which gradients are taken."""
BLUR = 3.0
"""Pixels of the Gaussian blur that hides what is under a patch."""
_PATCH = 5 / 84  # radius of a patch and distance to the next, as a share of the shorter side
_CHUNK = 64  # perturbed pictures in one pass


def gradient(reward: Reward, picture: Tensor) -> Floats:
    """(C, H, W) derivative of the reward by each value (Simonyan et al. 2014, signed)."""
    return _gradients(reward, picture[None]).mean(dim=0).cpu().numpy()


def integrated_gradients(
    reward: Reward, picture: Tensor, baseline: Tensor | None = None, steps: int = PATH_STEPS
) -> Floats:
    """What each value adds to the reward on the way from a baseline (Sundararajan et al. 2017).

    Args:
        reward: the function asked about.
        picture: (C, H, W).
        baseline: (C, H, W) where the way begins; None = black.
        steps: points of the Gauss-Legendre quadrature along it.

    Returns:
        (C, H, W); the sum of all is reward(picture) - reward(baseline), up to the quadrature.
    """
    start = torch.zeros_like(picture) if baseline is None else baseline
    nodes, weights = np.polynomial.legendre.leggauss(steps)  # type: ignore[no-untyped-call]
    shares = picture.new_tensor((nodes + 1) / 2)[:, None, None, None]  # -1..1 to 0..1
    along = start + shares * (picture - start)
    weighed = picture.new_tensor(weights / 2)[:, None, None, None] * _gradients(reward, along)
    added: Tensor = (picture - start) * weighed.sum(dim=0)
    return added.cpu().numpy()


def occlusion(reward: Reward, picture: Tensor) -> Floats:
    """How much the reward changes when a spot is blurred (Greydanus et al. 2018).

    Every few pixels a soft round patch of the picture, all frames of a stack alike, is blended
    with its blur; the score there is half the squared change of the reward. Patches are 5 pixels
    wide and apart on 84x84 and grow with the picture; the blur is always of 3 pixels.

    Returns:
        (H, W) at least 0, between the patches' centres interpolated.
    """
    height, width = picture.shape[1:]
    masks, grid = _patches(height, width)
    blurred = picture.new_tensor(gaussian_filter(picture.cpu().numpy(), (0, BLUR, BLUR)))
    with torch.inference_mode():
        before = reward(picture[None])
        after = []
        for start in range(0, len(masks), _CHUNK):
            mask = picture.new_tensor(masks[start : start + _CHUNK])[:, None]  # (n, 1, H, W)
            after.append(reward(picture * (1 - mask) + blurred * mask))
        scores = 0.5 * (torch.cat(after) - before).square()
        wide = torch.nn.functional.interpolate(
            scores.reshape(1, 1, *grid), (height, width), mode="bilinear", align_corners=False
        )
    return wide[0, 0].cpu().numpy()


def _gradients(reward: Reward, pictures: Tensor) -> Tensor:
    """(n, C, H, W) gradient of each picture's own reward."""
    with torch.enable_grad():
        asked = pictures.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(reward(asked).sum(), asked)
    return found


@lru_cache(maxsize=8)
def _patches(height: int, width: int) -> tuple[Floats, tuple[int, int]]:
    """(patches, H, W) weights of the blur, 1 at most, and rows and columns of patches."""
    radius = max(1, round(_PATCH * min(height, width)))
    rows = np.arange(radius // 2, height, radius)
    columns = np.arange(radius // 2, width, radius)
    y, x = np.ogrid[:height, :width]
    centres = [(row, column) for row in rows for column in columns]
    spots = np.stack(
        [((y - row) ** 2 + (x - column) ** 2 <= 1).astype(np.float32) for row, column in centres]
    )
    soft = gaussian_filter(spots, (0, radius, radius))
    return soft / soft.max(axis=(1, 2), keepdims=True), (len(rows), len(columns))

"""What k-center compares pairs by: what is seen in their two windows, coarsely.

Every fifth frame at an eighth of the resolution tells windows apart as well as all of them, at a
hundredth of the cost.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.preferences import LabelledPairs
from learner.segments import Steps, Window, window_observations

_FRAMES = 5
_PIXELS = 8
_TOGETHER = 64  # labelled segments looked at side by side

Features = NDArray[np.float32]


def pool_features(
    rollout: Steps, windows: list[Window], pairs: NDArray[np.int64], length: int
) -> Features:
    """(pairs, features) of pairs of a rollout's windows; shorter ones repeat their last frame."""
    observations, _ = window_observations(rollout, windows, length)
    return _of_pairs(_coarse(observations), pairs)


def labelled_features(labels: LabelledPairs) -> Features:
    """(labels, features) of pairs that are answered, one at least, like those of a pool."""
    count = len(labels.keys)
    parts = np.array_split(np.arange(count), max(1, math.ceil(count / _TOGETHER)))
    seen = [_coarse(labels.batch(part).observations) for part in parts if len(part)]
    return _of_pairs(np.concatenate(seen), labels.pairs)


def _coarse(observations: NDArray[Any]) -> Features:
    """(n, length, ...) observations -> (n, features)."""
    coarse = observations[:, ::_FRAMES]
    if coarse.ndim == 5:  # (n, frames, H, W, C)
        coarse = coarse[:, :, ::_PIXELS, ::_PIXELS].astype(np.float32) / 255
    return coarse.reshape(len(coarse), -1).astype(np.float32)


def _of_pairs(features: Features, pairs: NDArray[np.int64]) -> Features:
    joined: Features = np.concatenate([features[pairs[:, 0]], features[pairs[:, 1]]], axis=1)
    return joined

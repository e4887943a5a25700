"""An adversary that reads the time off a reward network's features (Ganin et al. 2016).

It learns to tell when in its episode a frame was; the features get its gradient turned round,
so that they come to hold as little of it as the labels allow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.errors import LearnerError


class TimeUnknown(LearnerError):
    """Frames of which nobody knows when in their episode they were."""


class TimeAdversary(nn.Module):
    """Guesses times from features; `weight` scales what the features are told in return."""

    def __init__(self, width: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.guess = nn.Sequential(nn.Linear(width, 32), nn.LeakyReLU(0.01), nn.Linear(32, 1))

    def forward(self, features: Tensor, times: NDArray[np.int64] | None) -> Tensor:
        """Mean squared error of the guesses, in variances of the batch's times.

        Args:
            features: (frames, width).
            times: (frames,) steps since each frame's episode began.

        Raises:
            TimeUnknown: nobody knows them.
        """
        if times is None:
            raise TimeUnknown(
                "reward.time_adversary needs to know when in its episode each frame was, which "
                "only studies do; set it to 0"
            )
        told = torch.from_numpy(times).to(features)
        wanted = (told - told.mean()) / told.std(correction=0).clamp(min=1.0)
        guessed = self.guess(_Turned.apply(features, self.weight)).squeeze(1)  # type: ignore[no-untyped-call]
        error: Tensor = (guessed - wanted).square().mean()
        return error


class _Turned(torch.autograd.Function):
    """The identity; its gradient is turned round and weighed."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None

"""Saliency of a reward ensemble: one map for one observation and action."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.errors import LearnerError
from learner.rewards.ensemble import RewardEnsemble
from learner.saliency.methods import Reward, gradient, integrated_gradients, occlusion

Method = Literal["gradient", "integrated_gradients", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)


class NoPictures(LearnerError):
    """A reward model that reads no pictures; the message says so."""


def maps(
    ensemble: RewardEnsemble,
    observation: NDArray[np.uint8],
    action: NDArray[Any] | int | None,
    method: Method,
) -> NDArray[np.float32]:
    """Where in an observation the paid reward, the mean over the members, comes from.

    Args:
        ensemble: reads pictures; left as it is.
        observation: (H, W, C) uint8 as the environment gives it, a stack's frames as channels.
        action: taken then; None where the model reads no actions.
        method: gradient = the largest |dr / dx| of a pixel's channels, x in 0-1;
            integrated_gradients = what a pixel adds to the reward of a black picture, of either
            sign, so that the map sums to the difference; occlusion = half the squared change of
            the reward when the pixel's surroundings are blurred.

    Returns:
        (H, W) in units of the normalised reward, squared for occlusion.

    Raises:
        NoPictures: the model reads vectors.
    """
    if not ensemble.inputs.image:
        raise NoPictures(
            f"saliency needs a reward model of pictures; this one reads "
            f"{ensemble.observation_space}"
        )
    moves = None if action is None else np.asarray(action)[None]
    scaled, prepared = ensemble.prepare(observation[None], moves)
    reward, picture = _paid(ensemble, prepared), scaled[0].contiguous()
    if method == "occlusion":
        return occlusion(reward, picture)
    if method == "integrated_gradients":
        added: NDArray[np.float32] = integrated_gradients(reward, picture).sum(axis=0)
        return added
    steepest: NDArray[np.float32] = np.abs(gradient(reward, picture)).max(axis=0)
    return steepest


def _paid(ensemble: RewardEnsemble, action: Tensor) -> Reward:
    """The normalised reward, up to a constant, of pictures that `Inputs` has scaled."""
    slopes = torch.from_numpy(ensemble.scale).to(ensemble.device)

    def reward(pictures: Tensor) -> Tensor:
        moves = action.expand(len(pictures), -1)
        members = [network.eval()(pictures, moves) for network in ensemble.networks]
        paid: Tensor = slopes @ torch.stack(members) / len(members)
        return paid

    return reward

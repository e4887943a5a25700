"""PPO's objective on one minibatch, and how well the values explain the returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.config import AgentConfig


class Predictions(NamedTuple):
    """What the policy says now about (B,) steps of a rollout; all float32."""

    log_probs: Tensor
    entropies: Tensor
    values: Tensor


class Batch(NamedTuple):
    """What the rollout holds about the same (B,) steps; all float32.

    Attributes:
        log_probs: of the actions, when they were drawn.
        values: estimates when the actions were drawn.
        gains: advantages.
        returns: advantages plus values, what the values should have been.
    """

    log_probs: Tensor
    values: Tensor
    gains: Tensor
    returns: Tensor


METRICS = (
    "train/policy_gradient_loss",
    "train/value_loss",
    "train/entropy_loss",
    "train/loss",
    "train/approx_kl",
    "train/clip_fraction",
)


def normalised(gains: Tensor) -> Tensor:
    """(B,) advantages with mean 0 and deviation 1 in the minibatch, as in baselines and SB3."""
    return (gains - gains.mean()) / (gains.std() + 1e-8) if len(gains) > 1 else gains


def objective(now: Predictions, batch: Batch, config: AgentConfig) -> tuple[Tensor, Tensor]:
    """The loss of the clipped surrogate objective (Schulman et al. 2017, equation 9).

    Args:
        now: predictions for some steps of a minibatch.
        batch: the same steps, their advantages normalised within the minibatch.
        config: clip ranges and weights.

    Returns:
        The scalar loss, and (6,) its parts without gradient, named by `METRICS`.
    """
    gains = batch.gains
    log_ratio = now.log_probs - batch.log_probs
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
    policy_loss = -torch.min(gains * ratio, gains * clipped).mean()
    value_loss = _value_loss(now.values, batch, config.clip_range_vf)
    entropy_loss = -now.entropies.mean()
    loss = policy_loss + config.ent_coef * entropy_loss + config.vf_coef * value_loss
    with torch.no_grad():
        # Schulman's estimator of the KL divergence: low variance, never negative
        divergence = ((ratio - 1) - log_ratio).mean()
        outside = ((ratio - 1).abs() > config.clip_range).float().mean()
        parts = [policy_loss, value_loss, entropy_loss, loss, divergence, outside]
        return loss, torch.stack(parts)


def _value_loss(values: Tensor, batch: Batch, clip_range: float | None) -> Tensor:
    """Half the squared error, the larger of clipped and unclipped (baselines' PPO2)."""
    errors = (values - batch.returns).square()
    if clip_range is not None:
        moved = batch.values + (values - batch.values).clamp(-clip_range, clip_range)
        errors = torch.max(errors, (moved - batch.returns).square())
    return 0.5 * errors.mean()


def explained_variance(values: NDArray[np.float32], returns: NDArray[np.float32]) -> float:
    """1 - Var[returns - values] / Var[returns]; 0 where the returns do not vary."""
    variance = float(returns.var())
    return 1.0 - float((returns - values).var()) / variance if variance else 0.0

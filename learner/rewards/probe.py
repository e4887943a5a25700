"""How a reward network is run on this machine, by timing one of its training steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from learner.choices import choose
from learner.config import RunConfig
from learner.devices import Compute, Step
from learner.rewards.ensemble import RewardEnsemble


def choose_compute(
    config: RunConfig,
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    folder: Path | None = None,
) -> Compute:
    """How the configured reward network is fitted fastest, as kept in a folder if given.

    Args:
        config: the run's; `device`, `precision` and `threads` are kept where they are set.
        observation_space: what the network reads.
        action_space: what it reads beside it, with `reward.use_action`.
        folder: where choices are kept; None = measured at every call.

    Raises:
        UnsuitableSpace: spaces that the network cannot take.
        DeviceError: a device that is not here.
        ChoiceError: the kept choice is damaged.
        Unwritable: it cannot be kept.
    """
    alone = config.reward.model_copy(update={"members": 1})
    frames = 2 * config.reward.batch_size * config.segments.length

    def make_step(compute: Compute) -> Step:
        ensemble = RewardEnsemble(
            observation_space, action_space, alone, 0, compute.device, compute.precision
        )
        network = ensemble.networks[0].train()
        seen = _zeros(observation_space, frames), _zeros(action_space, frames)

        def step() -> None:
            with ensemble.autocast():
                rewards = network(*ensemble.prepare(*seen))
            rewards.sum().backward()

        return step

    images = config.reward.network != "mlp"
    layers = "" if images else f" {config.reward.hidden}"
    shape = observation_space.shape or ()
    network = f"reward {config.reward.network}{layers} on {frames} of {shape}"
    return choose(config, network, make_step, images=images, folder=folder)


def _zeros(space: gym.Space[Any], count: int) -> np.ndarray[Any, Any]:
    """The least values that a space holds, (count, ...)."""
    start = space.start if isinstance(space, gym.spaces.Discrete) else 0
    return np.full((count, *(space.shape or ())), start, space.dtype)

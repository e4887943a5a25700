"""Reward networks: one number per observation, or per observation and action.

`Inputs` is the one place where observations are scaled, for training and for use alike;
networks see what it returns and nothing else.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from learner.config import RewardConfig
from learner.errors import LearnerError
from learner.rewards.adversary import TimeAdversary

_SLOPE = 0.01  # of the leaky ReLU, Christiano 2017, appendix A
_SMALLEST_SPREAD = 1e-3  # features that hardly vary are not blown up to unit variance
# Channels, kernel and stride of each convolution.
_CONVOLUTIONS = {
    "christiano": ((16, 7, 3), (16, 5, 2), (16, 3, 1), (16, 3, 1)),
    "nature": ((32, 8, 4), (64, 4, 2), (64, 3, 1)),
}
_HIDDEN = {"christiano": 64, "nature": 512, "impala": 256}
_IMPALA_CHANNELS = (16, 32, 32)


class UnsuitableSpace(LearnerError):
    """A space that a reward network cannot take; the message says what to change."""


class Inputs(nn.Module):
    """Turns raw observations and actions into what networks read.

    Images are uint8, height x width x channels; they are scaled to 0-1. Everything else is a
    vector, standardised by the statistics that `standardise` was last given.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.Space[Any], use_action: bool
    ) -> None:
        super().__init__()
        self.image = _is_image(observation_space)
        self.observation_shape = observation_space.shape
        self.width = _width(observation_space, "observation")
        self.categories = _categories(observation_space)
        self.use_action = use_action
        self.actions = _categories(action_space)
        self.action_shape = action_space.shape
        self.action_width = _width(action_space, "action") if use_action else 0
        size = 0 if self.image or self.categories is not None else self.width
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def forward(self, observations: Tensor, actions: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scale a flat batch.

        Args:
            observations: (n, *observation_shape) as the environment gives them.
            actions: (n, *action_shape); may be None where networks do not read them.

        Returns:
            (n, C, H, W) in 0-1, or (n, features); and (n, action features), 0 wide without.
        """
        if self.image:
            # HWC memory seen as CHW is already what channels-last convolutions want.
            wide = observations.permute(0, 3, 1, 2).to(_autocast_dtype(observations))
            scaled = wide.div_(255)
        elif self.categories is not None:
            scaled = _one_hot(observations, *self.categories)
        else:
            scaled = (observations.flatten(1).float() - self.mean) / self.std
        if not self.use_action:
            return scaled, scaled.new_zeros((len(scaled), 0), dtype=torch.float32)
        assert actions is not None, "this reward model reads actions"
        if self.actions is not None:
            return scaled, _one_hot(actions, *self.actions)
        return scaled, actions.flatten(1).float()

    def standardise(self, observations: NDArray[Any]) -> None:
        """Set the statistics of vectors from (n, *observation_shape); images need none."""
        if len(self.mean) == 0:
            return
        flat = torch.from_numpy(observations.reshape(len(observations), -1)).double()
        centre = flat.mean(0)
        self.mean.copy_(centre)
        spread = (flat - centre).square_().mean(0).sqrt()  # `std` takes four times as long
        self.std.copy_(torch.where(spread > _SMALLEST_SPREAD, spread, 1.0))


class RewardNetwork(nn.Module):
    """Features of the observation, the action beside them, then units of 64 and one output."""

    def __init__(self, inputs: Inputs, config: RewardConfig) -> None:
        super().__init__()
        self.absolute = config.absolute_output
        self._build(inputs, config)
        if config.spectral_norm:
            for layer in list(self.modules()):
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    spectral_norm(layer)
        self.adversary: TimeAdversary | None = None
        if config.time_adversary:
            last = self.head[-1]
            assert isinstance(last, nn.Linear), last
            self.adversary = TimeAdversary(last.in_features, config.time_adversary)

    def _build(self, inputs: Inputs, config: RewardConfig) -> None:
        """Make features and head for what `inputs` returns."""
        if config.network == "mlp":
            self.features: nn.Module = nn.Flatten()
            width = inputs.width + inputs.action_width
            self.head = _perceptron(width, config.hidden, config.dropout)
            return
        if not inputs.image:
            raise UnsuitableSpace(
                f"the {config.network} reward network needs uint8 images, height x width x "
                f"channels, not {inputs.observation_shape}; set reward.network=mlp"
            )
        height, wide, channels = inputs.observation_shape or ()
        if config.network == "impala":
            self.features = _impala(channels, config)
        else:
            self.features = _convolutions(channels, config)
        width = _feature_width(self.features, (channels, height, wide), config.network)
        self.head = _perceptron(width + inputs.action_width, (_HIDDEN[config.network],), 0.0)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """(n,) float32 unnormalised rewards of what `Inputs` returned."""
        return self.with_hidden(observations, actions)[0]

    def with_hidden(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) rewards, and (n, units) what the last layer makes them from."""
        features = self.features(observations).flatten(1)
        # Sums of 25 outputs are compared, so the head keeps full precision under autocast.
        with full_precision(features.device.type):
            hidden = features.float()
            if actions.shape[1]:
                hidden = torch.cat([hidden, actions], dim=1)
            *before, last = self.head
            for layer in before:
                hidden = layer(hidden)
            rewards: Tensor = last(hidden).squeeze(1)
        return (rewards.abs() if self.absolute else rewards), hidden


class _Residual(nn.Module):
    """IMPALA's residual block (Espeholt et al. 2018)."""

    def __init__(self, channels: int, config: RewardConfig) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            *_after_convolution(channels, config),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, values: Tensor) -> Tensor:
        changed: Tensor = values + self.branch(values)
        return changed


def _after_convolution(channels: int, config: RewardConfig) -> list[nn.Module]:
    """Batch normalisation (decay 0.99, Ibarz 2018), activation, per-channel dropout."""
    layers: list[nn.Module] = []
    if config.batch_norm:
        layers.append(nn.BatchNorm2d(channels, momentum=0.01))
    layers.append(_activation())
    if config.dropout:
        layers.append(nn.Dropout2d(config.dropout))
    return layers


def _activation() -> nn.LeakyReLU:
    """In place: no layer before it needs its output to go backward, and memory is what it costs."""
    return nn.LeakyReLU(_SLOPE, inplace=True)


def _convolutions(channels: int, config: RewardConfig) -> nn.Sequential:
    """Christiano's four convolutions, or Mnih's three."""
    layers: list[nn.Module] = []
    for width, kernel, stride in _CONVOLUTIONS[config.network]:
        layers += [nn.Conv2d(channels, width, kernel, stride), *_after_convolution(width, config)]
        channels = width
    return nn.Sequential(*layers)


def _impala(channels: int, config: RewardConfig) -> nn.Sequential:
    """IMPALA's residual tower with the published channels."""
    layers: list[nn.Module] = []
    for width in _IMPALA_CHANNELS:
        layers += [
            nn.Conv2d(channels, width, 3, padding=1),
            nn.MaxPool2d(3, stride=2, padding=1),
            _Residual(width, config),
            _Residual(width, config),
        ]
        channels = width
    return nn.Sequential(*layers, _activation())


def _perceptron(width: int, hidden: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Fully connected layers down to one output."""
    layers: list[nn.Module] = []
    for units in hidden:
        layers += [nn.Linear(width, units), _activation()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 1))


def _feature_width(features: nn.Module, shape: tuple[int, int, int], name: str) -> int:
    """Number of features for one image; refuses images that the kernels do not fit."""
    was_training = features.training
    try:
        with torch.no_grad():
            example: Tensor = features.eval()(torch.zeros(1, *shape))
            return example.numel()
    except RuntimeError as error:
        raise UnsuitableSpace(
            f"images of {shape[1]}x{shape[2]} are too small for the {name} reward network; "
            "use larger ones or set reward.network=mlp"
        ) from error
    finally:
        features.train(was_training)


def _is_image(space: gym.Space[Any]) -> bool:
    return isinstance(space, gym.spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3


def _categories(space: gym.Space[Any]) -> tuple[int, int] | None:
    """Lowest value and number of values of a discrete space."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.start), int(space.n)
    return None


def _width(space: gym.Space[Any], role: str) -> int:
    """Features a space gives once flattened or one-hot coded."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.n)
    if isinstance(space, gym.spaces.Box | gym.spaces.MultiBinary) and space.shape:
        return int(np.prod(space.shape))
    raise UnsuitableSpace(
        f"the reward model cannot take the {role} space {space}; "
        "wrap the environment so that it is Box or Discrete"
    )


def _one_hot(values: Tensor, start: int, count: int) -> Tensor:
    return nn.functional.one_hot(values.flatten().long() - start, count).float()


def full_precision(kind: str) -> AbstractContextManager[Any]:
    """A block without autocast on devices of one kind; to enter one where it is off is not free."""
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def _autocast_dtype(values: Tensor) -> torch.dtype:
    """Autocast's type where it is on: 0-255 is exact in bfloat16, and half the memory."""
    kind = values.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32

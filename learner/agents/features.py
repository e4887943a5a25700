"""Networks that turn observations into features, as Stable-Baselines3 extractors.

Images may be height x width x channels, as the environments give them, or channels first,
as SB3's own wrappers give them. An HWC batch seen as NCHW *is* channels-last memory, so the
fast layout costs no copy. uint8 images are scaled to [0, 1] here; images that SB3's policies
have scaled already arrive as floats and are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from learner.errors import LearnerError


class SpaceError(LearnerError):
    """An observation or action space that the network cannot take; says what to change."""


def _as_channels_first(images: Tensor, channels_first: bool) -> Tensor:
    """View (B, H, W, C) or (B, C, H, W) images as (B, C, H, W) in [0, 1]."""
    if images.dtype == torch.uint8:
        images = images.float().div_(255.0)
    return images if channels_first else images.permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(ReLU(x)))), all 3x3 with equal channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        inner: Tensor = self.first(torch.relu(x)).relu_()
        skip: Tensor = self.second(inner)
        return x + skip


class _ImageFeatures(BaseFeaturesExtractor):
    """What the image networks share: the check of the space and the layout."""

    def __init__(self, observation_space: spaces.Space[Any], features_dim: int, name: str) -> None:
        if not isinstance(observation_space, spaces.Box) or not is_image_space(observation_space):
            raise SpaceError(
                f"network '{name}' needs uint8 images, not {observation_space}; "
                "set agent.network=mlp"
            )
        super().__init__(observation_space, features_dim)
        self.channels_first = is_image_space_channels_first(observation_space)
        shape = observation_space.shape
        self.size = shape[1:] if self.channels_first else shape[:2]  # height, width
        self.image_channels = shape[0] if self.channels_first else shape[2]

    def flat_size(self, body: nn.Module) -> int:
        """Units that come out of `body` for one observation."""
        example = torch.zeros(1, self.image_channels, *self.size)
        with torch.no_grad():
            return int(np.prod(body(example).shape[1:]))

    def _images(self, observations: Tensor) -> Tensor:
        return _as_channels_first(observations, self.channels_first)


class ImpalaFeatures(_ImageFeatures):
    """The residual network of IMPALA, as used for Procgen (Espeholt 2018; Cobbe 2020).

    For each depth: 3x3 convolution, 3x3 max-pooling with stride 2, two residual blocks;
    then ReLU, Dense, ReLU. Weights start Xavier-uniform and biases at 0, as in the published
    TensorFlow code; orthogonal weights with gain sqrt(2) would double the signal's power in
    each of the six residual blocks.

    Args:
        observation_space: uint8 images.
        channels: (16, 32, 32) as published, (8, 16, 16) for CPUs.
        features_dim: units of the dense layer.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        channels: Sequence[int] = (16, 32, 32),
        features_dim: int = 256,
    ) -> None:
        super().__init__(observation_space, features_dim, "impala")
        layers: list[nn.Module] = []
        depth_in = self.image_channels
        for depth in channels:
            layers += [
                nn.Conv2d(depth_in, depth, 3, padding=1),
                nn.MaxPool2d(3, stride=2, padding=1),
                ResidualBlock(depth),
                ResidualBlock(depth),
            ]
            depth_in = depth
        self.body = nn.Sequential(*layers, nn.ReLU(), nn.Flatten())
        self.dense = nn.Linear(self.flat_size(self.body), features_dim)
        self.apply(_xavier)

    def forward(self, observations: Tensor) -> Tensor:
        """(B, H, W, C) or (B, C, H, W) images -> (B, features_dim)."""
        return torch.relu(self.dense(self.body(self._images(observations))))


class NatureFeatures(_ImageFeatures):
    """The network of Mnih et al. (2015): three convolutions, then 512 units."""

    def __init__(self, observation_space: spaces.Space[Any], features_dim: int = 512) -> None:
        super().__init__(observation_space, features_dim, "nature")
        if min(self.size) < 36:
            raise SpaceError(
                f"network 'nature' needs images of at least 36x36, not {observation_space.shape}; "
                "set agent.network=impala-small"
            )
        self.body = nn.Sequential(
            nn.Conv2d(self.image_channels, 32, 8, stride=4),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 3, stride=1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
        )
        self.dense = nn.Linear(self.flat_size(self.body), features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        """(B, H, W, C) or (B, C, H, W) images -> (B, features_dim)."""
        return torch.relu(self.dense(self.body(self._images(observations))))


class VectorFeatures(BaseFeaturesExtractor):
    """Flattened observations, optionally normalised by their running mean and deviation.

    The statistics are buffers, so they travel with the policy's weights into checkpoints and
    exports. They change only in `update`, never within a rollout or its improvement: all log
    probabilities that PPO compares come from the same normalisation.

    Args:
        observation_space: any Box; uint8 images are scaled to [0, 1].
        normalize: whether to normalise, clipped to [-10, 10] deviations.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, observation_space: spaces.Space[Any], normalize: bool = False) -> None:
        if not isinstance(observation_space, spaces.Box):
            raise SpaceError(
                f"observations must be images or vectors, not {observation_space}; wrap the "
                "environment, for example with gymnasium.wrappers.FlattenObservation"
            )
        features = int(np.prod(observation_space.shape))
        super().__init__(observation_space, features)
        self.image = is_image_space(observation_space)
        self.normalize = normalize
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(features, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observations: Tensor) -> Tensor:
        """(B, ...) observations -> (B, features) float32."""
        if self.image and observations.dtype == torch.uint8:
            observations = observations.float().div_(255.0)
        flat = observations.float().flatten(start_dim=1)
        if not self.normalize:
            return flat
        deviation = torch.sqrt(self.variance + 1e-8)
        return ((flat - self.mean.float()) / deviation.float()).clamp_(-10.0, 10.0)

    @torch.no_grad()
    def update(self, observations: Tensor) -> None:
        """Add (B, ...) observations to the statistics (Chan et al. 1979, parallel variance)."""
        if not self.normalize:
            return
        flat = observations.flatten(start_dim=1).double()
        total = self.count + len(flat)
        shift = flat.mean(dim=0) - self.mean
        spread = self.variance * self.count + flat.var(dim=0, correction=0) * len(flat)
        self.mean += shift * len(flat) / total
        self.variance.copy_((spread + shift**2 * self.count * len(flat) / total) / total)
        self.count.copy_(total)


def _xavier(module: nn.Module) -> None:
    """Xavier-uniform weights, zero biases."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)

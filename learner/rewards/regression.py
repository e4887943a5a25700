"""Rewards by regression on transitions, for studies of what such networks learn (2012.05862).

A network is given what was seen before and after a step, or after it alone, and learns the true
reward of the step by its squared error.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.errors import Diverged, LearnerError

Floats = NDArray[np.float32]
Frames = NDArray[np.uint8]

_CHUNK = 512  # transitions in one pass


class UnreadableRegression(LearnerError):
    """Content that is no regressed reward; the message says so."""


@dataclass(frozen=True)
class RegressionShape:
    """What a regressed reward reads and how it is made.

    Attributes:
        frame: (H, W, C) of what is seen.
        network: tanh layers whose output has no bias, or Mnih's convolutions.
        reads: what is seen before and after the step, or after it alone.
        hidden: units of the tanh layers.
        codes: a number per channel, by which channels in 0-1 are summed into one picture, as
            gridworlds code walls, goals and agents; None = channels as they are.
    """

    frame: tuple[int, int, int]
    network: Literal["perceptron", "nature"] = "perceptron"
    reads: Literal["both", "after"] = "both"
    hidden: tuple[int, ...] = (64, 64)
    codes: tuple[float, ...] | None = None

    @property
    def channels(self) -> int:
        """Channels of what the network reads, of both frames."""
        own = 1 if self.codes is not None else self.frame[2]
        return 2 * own if self.reads == "both" else own


class RegressedReward:
    """A reward of transitions."""

    def __init__(self, shape: RegressionShape, seed: int) -> None:
        """Make an untrained one."""
        self.shape = shape
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.network = _perceptron(shape) if shape.network == "perceptron" else _nature(shape)

    def pictures(self, before: Frames | None, after: Frames) -> Tensor:
        """(n, channels, H, W) float32 as the network reads (n, H, W, C) uint8 frames."""
        seen = [self._coded(after)]
        if self.shape.reads == "both":
            assert before is not None, "this reward reads what was seen before the step"
            seen.insert(0, self._coded(before))
        return torch.cat(seen, dim=1)

    def __call__(self, pictures: Tensor) -> Tensor:
        """(n,) rewards of what `pictures` made; gradients flow."""
        rewards: Tensor = self.network(pictures).squeeze(1)
        return rewards

    def rewards(self, before: Frames | None, after: Frames) -> Floats:
        """(n,) float32 rewards of (n, H, W, C) frames before and after each step."""
        found = np.empty(len(after), np.float32)
        with torch.inference_mode():
            for start in range(0, len(after), _CHUNK):
                part = slice(start, start + _CHUNK)
                found[part] = self(self.pictures(None if before is None else before[part],
                                                 after[part])).numpy()  # fmt: skip
        return found

    def pack(self) -> bytes:
        """Everything as bytes that stand alone."""
        buffer = io.BytesIO()
        torch.save({"shape": asdict(self.shape), "network": self.network.state_dict()}, buffer)
        return buffer.getvalue()

    @classmethod
    def unpack(cls, content: bytes) -> RegressedReward:
        """What `pack` packed; loading it runs no code.

        Raises:
            UnreadableRegression: it is something else, or damaged.
        """
        try:
            values = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            found = cls(RegressionShape(**values["shape"]), seed=0)
            found.network.load_state_dict(values["network"])
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as bad:
            raise UnreadableRegression(
                "not a regressed reward, or cut short; remove the file and run its study again"
            ) from bad
        return found

    def _coded(self, frames: Frames) -> Tensor:
        scaled = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
        if self.shape.codes is None:
            return scaled.contiguous()
        codes = torch.tensor(self.shape.codes)[None, :, None, None]
        return (scaled * codes).sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class Epoch:
    """Mean squared errors after a pass over the transitions."""

    train: float
    test: float


def regress(
    reward: RegressedReward,
    train: tuple[Frames | None, Frames, Floats],
    test: tuple[Frames | None, Frames, Floats],
    rng: np.random.Generator,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    say: Callable[[str], None] = lambda _: None,
) -> list[Epoch]:
    """Fit by Adam to the summed squared error of each batch, as published.

    Args:
        reward: fitted in place.
        train: (n, H, W, C) uint8 frames before and after each step, and (n,) true rewards.
        test: of other episodes.
        rng: draws the batches.
        epochs: passes.
        batch_size: transitions.
        learning_rate: Adam's.
        say: told of each pass.

    Raises:
        Diverged: the error is not finite.
    """
    before, after, wanted = train
    adam = torch.optim.Adam(reward.network.parameters(), lr=learning_rate)
    passes = []
    for number in range(epochs):
        reward.network.train()
        errors = []
        order = rng.permutation(len(wanted))
        for start in range(0, len(order), batch_size):
            some = order[start : start + batch_size]
            pictures = reward.pictures(None if before is None else before[some], after[some])
            error = (reward(pictures) - torch.from_numpy(wanted[some])).square().sum()
            adam.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            adam.step()
            errors.append(error.detach())
        trained = float(torch.stack(errors).sum()) / len(order)
        if not np.isfinite(trained):
            raise Diverged("the regression's error is not finite; lower model.learning_rate")
        reward.network.eval()
        held = float(np.square(reward.rewards(test[0], test[1]) - test[2]).mean())
        passes.append(Epoch(trained, held))
        say(f"pass {number + 1} of {epochs}: squared error {trained:.4f}, test {held:.4f}")
    return passes


def _perceptron(shape: RegressionShape) -> nn.Sequential:
    """Tanh layers; the last one has no bias."""
    width = shape.channels * shape.frame[0] * shape.frame[1]
    layers: list[nn.Module] = [nn.Flatten()]
    for units in shape.hidden:
        layers += [nn.Linear(width, units), nn.Tanh()]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, 1, bias=False))


def _nature(shape: RegressionShape) -> nn.Sequential:
    """Mnih's three convolutions, 512 units, one output."""
    body = nn.Sequential(
        nn.Conv2d(shape.channels, 32, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=1),
        nn.ReLU(),
        nn.Flatten(),
    )
    with torch.no_grad():
        width = body(torch.zeros(1, shape.channels, *shape.frame[:2])).shape[1]
    return nn.Sequential(*body, nn.Linear(width, 512), nn.ReLU(), nn.Linear(512, 1))

"""An ensemble of reward networks whose members are normalised one by one, then averaged.

Members are trained and evaluated one after another: on CPUs, grouped convolutions over all
members took 1.2 to 2.5 times as long as this loop, and batched matrix products for
perceptrons about as long.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.config import RewardConfig
from learner.errors import AGAIN, Diverged, LearnerError
from learner.rewards.holdout import HoldOut
from learner.rewards.networks import Inputs, RewardNetwork, full_precision

Precision = Literal["float32", "bfloat16"]
Floats = NDArray[np.float32]

# Observations in one pass: activations of more fall out of a CPU's cache, while a GPU is idle
# between passes and holds a whole rollout.
_CHUNK = {"cpu": 1024, "cuda": 16_384}
_SMALLEST_STD = 1e-6  # of raw rewards; below it there is nothing to scale


class ForeignRewardModel(LearnerError):
    """A stored reward model that was made for other inputs or with another network."""


class RewardEnsemble:
    """K networks, their optimisers, and what a fit must remember for the next one.

    Attributes:
        config: networks and training.
        inputs: scales observations, for training and use alike.
        networks: the members.
        optimisers: one Adam per member, kept over warm refits.
        holdouts: which episodes each member never learns from.
        l2: (K,) present weights of the L2 penalty.
        teacher_noise: learned share of random answers, by teacher id.
        version: number of fits so far; 0 = never fitted.
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        config: RewardConfig,
        seed: int,
        device: torch.device | str = "cpu",
        precision: Precision = "float32",
    ) -> None:
        """Make untrained members.

        Raises:
            UnsuitableSpace: the network cannot take these observations or actions.
        """
        self.observation_space = observation_space
        self.action_space = action_space
        self.config = config
        self.seed = seed
        self.device = torch.device(device)
        self.precision: Precision = precision
        self.inputs = Inputs(observation_space, action_space, config.use_action).to(self.device)
        self.holdouts = [HoldOut() for _ in range(config.members)]
        self.teacher_noise: dict[int, float] = {}
        self.version = 0
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Draw new weights and forget optimisers, penalties and normalisation (cold refit)."""
        # torch's layers draw from the global generators and from nothing else.
        with self.seeded(seed):
            self.networks = [self._member() for _ in range(self.config.members)]
        self.optimisers = [_adam(network, self.config) for network in self.networks]
        self.l2 = [self.config.l2] * self.config.members
        self._mean = np.zeros(self.config.members, dtype=np.float32)
        self._std = np.full(self.config.members, self.config.target_std, dtype=np.float32)
        self._labelled = np.zeros(self.config.members, dtype=np.float32)

    @property
    def mean_reward(self) -> float:
        """Mean reward of a step over the labelled data: 0 where it was centred on them."""
        return float(self._labelled.mean())

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """A block in which torch's global generators start from `seed`; restored after it."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield

    def copy(self) -> RewardEnsemble:
        """An independent ensemble in the same state."""
        twin = RewardEnsemble(
            self.observation_space,
            self.action_space,
            self.config,
            self.seed,
            self.device,
            self.precision,
        )
        twin.load_state_dict(self.state_dict())
        return twin

    # -- rewards ------------------------------------------------------------------------------

    def rewards(self, observations: NDArray[Any], actions: NDArray[Any] | None = None) -> Floats:
        """Normalised reward, averaged over the members: what the agent is paid.

        Args:
            observations: (..., *observation_shape) before the actions.
            actions: (..., *action_shape); needed with `use_action` only.

        Returns:
            (...) float32.

        Raises:
            Diverged: a reward is not finite.
        """
        average: Floats = self.members(observations, actions).mean(axis=0)
        return average

    def disagreement(
        self, observations: NDArray[Any], actions: NDArray[Any] | None = None
    ) -> Floats:
        """(...) standard deviation of the members' normalised rewards (RUNE)."""
        spread: Floats = self.members(observations, actions).std(axis=0)
        return spread

    def members(self, observations: NDArray[Any], actions: NDArray[Any] | None = None) -> Floats:
        """(K, ...) each member's reward, normalised over the labelled data."""
        return self.normalise(self.raw(observations, actions))

    def raw(self, observations: NDArray[Any], actions: NDArray[Any] | None = None) -> Floats:
        """(K, ...) rewards as the Bradley-Terry loss sees them, in nats per step."""
        shape = self.inputs.observation_shape or ()
        lead = observations.shape[: observations.ndim - len(shape)]
        flat = observations.reshape(-1, *shape)
        moves = None
        if self.config.use_action and actions is not None:
            moves = actions.reshape(len(flat), *(self.inputs.action_shape or ()))
        found = torch.empty((len(self.networks), len(flat)), device=self.device)
        chunk = _CHUNK[self.device.type]
        with torch.inference_mode(), self.autocast():
            for network in self.networks:
                network.eval()
            for start in range(0, len(flat), chunk):
                part = slice(start, start + chunk)
                seen = self.prepare(flat[part], None if moves is None else moves[part])
                for member, network in enumerate(self.networks):
                    found[member, part] = network(*seen)
        rewards: Floats = found.cpu().numpy()  # the one moment at which a GPU is waited for
        if not np.isfinite(rewards).all():
            raise Diverged(
                "the reward model gives rewards that are not finite; check the observations for "
                f"NaN; {AGAIN}; start a new run with a lower reward.learning_rate"
            )
        return rewards.reshape(-1, *lead)

    def normalise(self, raw: Floats) -> Floats:
        """(K, ...) raw rewards to mean 0 and `target_std` over the labelled data."""
        column = (-1, *[1] * (raw.ndim - 1))
        normal: Floats = (raw - self._mean.reshape(column)) * self.scale.reshape(column)
        return normal

    @property
    def scale(self) -> Floats:
        """(K,) what normalisation multiplies each member's raw reward by."""
        scale: Floats = self.config.target_std / self._std
        return scale

    def calibrate(self, raw: Floats, valid: NDArray[np.bool_], *, centred: bool) -> None:
        """Set the normalisation from the labelled data.

        Where short segments lack steps that count as reward 0 in the loss, the labels fix what 0
        means, and only the scale is changed. Elsewhere any constant fits as well, and the mean
        becomes 0.

        Args:
            raw: (K, n, L) unnormalised rewards of the labelled segments, or of some of their steps.
            valid: (n, L) False on missing steps.
            centred: whether the mean becomes 0.
        """
        seen = raw[:, valid].astype(np.float64)
        centre = seen.mean(axis=1) if centred else np.zeros(len(seen))
        spread = np.sqrt(np.square(seen - centre[:, None]).mean(axis=1))
        self._mean = centre.astype(np.float32)
        flat = spread < _SMALLEST_STD
        self._std = np.where(flat, self.config.target_std, spread).astype(np.float32)
        scale = self.config.target_std / self._std
        self._labelled = ((seen.mean(axis=1) - centre) * scale).astype(np.float32)

    # -- comparisons --------------------------------------------------------------------------

    def returns(
        self,
        observations: NDArray[Any],
        actions: NDArray[Any] | None,
        valid: NDArray[np.bool_],
    ) -> Floats:
        """(K, n) summed raw rewards of the valid steps of (n, L, ...) segments."""
        sums: Floats = (self.raw(observations, actions) * valid).sum(axis=2)
        return sums

    def probabilities(self, returns: Floats, pairs: NDArray[np.integer[Any]]) -> Floats:
        """Each member's P(first is better), without the error floor.

        Args:
            returns: (K, n) summed raw rewards.
            pairs: (P, 2) indices of segments.

        Returns:
            (K, P).
        """
        return win_probability(returns[:, pairs[:, 0]] - returns[:, pairs[:, 1]])

    # -- what training shares -----------------------------------------------------------------

    def prepare(
        self, observations: NDArray[Any], actions: NDArray[Any] | None
    ) -> tuple[Tensor, Tensor]:
        """A flat batch as networks read it, on the device; call it under `autocast`."""
        moves = None
        if self.config.use_action and actions is not None:
            moves = self._tensor(actions)
        scaled: tuple[Tensor, Tensor] = self.inputs(self._tensor(observations), moves)
        return scaled

    def autocast(self) -> AbstractContextManager[Any]:
        """bfloat16 where this ensemble was told so."""
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return full_precision(self.device.type)

    # -- state --------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs, as plain values and tensors; shares no memory."""
        return copy.deepcopy(
            {
                "signature": self._signature(),
                "version": self.version,
                "seed": self.seed,
                "inputs": self.inputs.state_dict(),
                "networks": [network.state_dict() for network in self.networks],
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "holdouts": [holdout.state_dict() for holdout in self.holdouts],
                "l2": self.l2,
                "teacher_noise": self.teacher_noise,
                "mean": self._mean.tolist(),
                "std": self._std.tolist(),
                "labelled": self._labelled.tolist(),
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; the dict is this ensemble's from now on.

        Raises:
            ForeignRewardModel: made for other spaces or with another network.
        """
        if state.get("signature") != self._signature():
            raise ForeignRewardModel(
                f"this reward model was made as {state.get('signature')}, not as "
                f"{self._signature()}; load it with the config of its own run"
            )
        self.version, self.seed = state["version"], state["seed"]
        self.inputs.load_state_dict(state["inputs"])
        self.l2, self.teacher_noise = state["l2"], state["teacher_noise"]
        self._mean = np.array(state["mean"], dtype=np.float32)
        self._std = np.array(state["std"], dtype=np.float32)
        self._labelled = np.array(state["labelled"], dtype=np.float32)
        for k in range(len(self.networks)):
            self.networks[k].load_state_dict(state["networks"][k])
            self.optimisers[k].load_state_dict(state["optimisers"][k])
            self.holdouts[k].load_state_dict(state["holdouts"][k])

    def _signature(self) -> str:
        """What must agree before weights can be loaded."""
        action = f" with actions {self.action_space}" if self.config.use_action else ""
        changed = " absolute" * self.config.absolute_output
        changed += " spectral norm" * self.config.spectral_norm
        changed += " time adversary" * bool(self.config.time_adversary)
        return (
            f"{self.config.members} x {self.config.network} {list(self.config.hidden)}{changed}, "
            f"batch_norm {self.config.batch_norm}, observations {self.observation_space}{action}"
        )

    def _member(self) -> RewardNetwork:
        network = RewardNetwork(self.inputs, self.config).to(self.device)
        if self.inputs.image:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if self.device.type == "cuda":  # from pinned memory, while the processor goes on
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor


def win_probability(difference: Floats) -> Floats:
    """P(first is better) = 1 / (1 + exp(-difference)), without overflow."""
    half: Floats = (1 + np.tanh(difference / 2)) / 2
    return half


def _adam(network: nn.Module, config: RewardConfig) -> torch.optim.Adam:
    """Adam as in Ibarz 2018, A.3; the L2 penalty acts on weights, not on biases."""
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1]},
        {"params": [p for p in network.parameters() if p.ndim <= 1]},
    ]
    return torch.optim.Adam(groups, lr=config.learning_rate, eps=1e-8, fused=True)

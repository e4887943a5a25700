"""Behaviour cloning: the policy starts from demonstrations instead of from nothing.

Ibarz et al. (2018, section 2.3) train a DQfD agent, whose demonstrations stay in its replay
buffer for good. Ours is PPO, which learns from its own rollouts only, so demonstrations give it
its first weights and are not enforced afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.agents.features import VectorFeatures
from learner.agents.policies import forward, log_prob_and_entropy
from learner.agents.ppo import PPOAgent
from learner.errors import Diverged, LearnerError

HOLDOUT = 0.2  # share of demonstrations that only measure
PATIENCE = 5  # epochs without a better held-out loss before the best weights are taken back


class DemonstrationError(LearnerError):
    """Demonstrations that this agent cannot be cloned from; says what to change."""


@dataclass(frozen=True)
class Demonstration:
    """One trajectory of good behaviour.

    Attributes:
        observations: (steps, ...) the agent's view before each action.
        actions: (steps, ...) as the environment takes them.
    """

    observations: NDArray[Any]
    actions: NDArray[Any]


class _Steps:
    """Steps of some demonstrations on the agent's device, and the loss of the policy on them."""

    def __init__(self, agent: PPOAgent, demonstrations: Sequence[Demonstration]) -> None:
        def load(arrays: list[NDArray[Any]]) -> Tensor:
            return torch.from_numpy(np.concatenate(arrays)).to(agent.compute.device)

        self._agent = agent
        self.observations = load([demo.observations for demo in demonstrations])
        self.actions = load([demo.actions for demo in demonstrations])

    def __len__(self) -> int:
        return len(self.actions)

    def log_probs_and_entropies(self, chosen: Tensor | slice) -> tuple[Tensor, Tensor]:
        policy, precision = self._agent.policy, self._agent.compute.precision
        outputs, _ = forward(policy, self.observations[chosen], precision=precision)
        return log_prob_and_entropy(policy, outputs, self.actions[chosen])

    @torch.no_grad()
    def loss(self, batch_size: int) -> float:
        """Mean negative log probability of the actions, nats."""
        total = 0.0
        for start in range(0, len(self), batch_size):
            log_probs, _ = self.log_probs_and_entropies(slice(start, start + batch_size))
            total -= float(log_probs.sum())
        return total / len(self)


def clone(
    agent: PPOAgent,
    demonstrations: Sequence[Demonstration],
    rng: np.random.Generator,
    *,
    epochs: int = 50,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    ent_coef: float = 1e-3,
    pulse: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Fit the policy to the actions of demonstrations, by maximum likelihood.

    A share of whole demonstrations is held out; the weights with the best loss on them are kept.
    A single demonstration is trained on whole, for all epochs. Value estimates are left to
    PPO, and so is the deviation of continuous actions: fitted to steady demonstrations it would
    shrink until nothing is explored. Observation statistics are taken from the demonstrations.

    Args:
        agent: changed in place; its PPO optimiser is not.
        demonstrations: at least one.
        rng: source of the split and of the batches.
        epochs: most passes over the demonstrations.
        batch_size: steps per batch.
        learning_rate: Adam's.
        ent_coef: entropy bonus, so that the clone does not become too sure to explore.
        pulse: called before every batch; may raise to leave.

    Returns:
        `cloning/loss_train`, `cloning/loss_heldout` (where something is held out), both nats per
        action, and `cloning/epochs`.

    Raises:
        DemonstrationError: none, or of other spaces than the agent's.
        Diverged: the loss is not finite.
    """
    _check(agent, demonstrations)
    train, heldout = _split(agent, demonstrations, rng)
    features = agent.policy.features_extractor
    if isinstance(features, VectorFeatures):
        features.update(train.observations)
    learned = [p for name, p in agent.policy.named_parameters() if name != "log_std"]
    optimizer = torch.optim.Adam(learned, lr=learning_rate)
    best, epoch = _Best(agent), 0
    with agent.compute.active():
        while epoch < epochs and best.waited < PATIENCE:
            epoch += 1
            chosen = torch.from_numpy(rng.permutation(len(train))).to(train.actions.device)
            for start in range(0, len(chosen), batch_size):
                pulse()
                batch = chosen[start : start + batch_size]
                _learn(optimizer, *train.log_probs_and_entropies(batch), ent_coef)
            if heldout is not None:
                best.compare(heldout.loss(batch_size))
        best.restore()
        metrics = {"cloning/loss_train": train.loss(batch_size), "cloning/epochs": float(epoch)}
    return metrics if heldout is None else metrics | {"cloning/loss_heldout": best.loss}


class _Best:
    """The weights with the least held-out loss so far, and for how many epochs they have been."""

    def __init__(self, agent: PPOAgent) -> None:
        self._policy = agent.policy
        self._weights: dict[str, Any] | None = None
        self.loss, self.waited = float("inf"), 0

    def compare(self, loss: float) -> None:
        """Keep the present weights if they are the best."""
        self.waited += 1
        if loss < self.loss:
            self._weights = copy.deepcopy(self._policy.state_dict())
            self.loss, self.waited = loss, 0

    def restore(self) -> None:
        """Go back to the best, if any were compared."""
        if self._weights is not None:
            self._policy.load_state_dict(self._weights)


def _split(
    agent: PPOAgent, demonstrations: Sequence[Demonstration], rng: np.random.Generator
) -> tuple[_Steps, _Steps | None]:
    """What is learned from, and whole demonstrations that only measure; a single one is learned."""
    order = rng.permutation(len(demonstrations))
    held = round(HOLDOUT * len(order)) or int(len(order) > 1)
    train = _Steps(agent, [demonstrations[i] for i in order[held:]])
    return train, _Steps(agent, [demonstrations[i] for i in order[:held]]) if held else None


def _learn(
    optimizer: torch.optim.Optimizer, log_probs: Tensor, entropies: Tensor, ent_coef: float
) -> None:
    """One step towards the demonstrated actions."""
    loss = -log_probs.mean() - ent_coef * entropies.mean()
    if not torch.isfinite(loss):
        raise Diverged(
            f"the loss of cloning is {loss.item()}; check the demonstrations for NaN, or start "
            "a new run with demonstrations.clone_epochs=0"
        )
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _check(agent: PPOAgent, demonstrations: Sequence[Demonstration]) -> None:
    """Refuse what would fail within torch."""
    if not demonstrations:
        raise DemonstrationError("no demonstrations to clone; record or import some first")
    observation_space, action_space = agent.env.observation_space, agent.env.action_space
    for number, demonstration in enumerate(demonstrations):
        observations, actions = demonstration.observations, demonstration.actions
        assert len(observations) == len(actions), (len(observations), len(actions))
        if (
            observations.shape[1:] != observation_space.shape
            or actions.shape[1:] != action_space.shape
        ):
            raise DemonstrationError(
                f"demonstration {number} has observations {observations.shape[1:]} and actions "
                f"{actions.shape[1:]}, the environment {observation_space.shape} and "
                f"{action_space.shape}; use demonstrations of the same environment"
            )

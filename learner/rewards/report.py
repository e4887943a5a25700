"""What one fit achieved, in numbers for people and for the monitor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner.rewards.loss import label_entropy_bound

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """Predictions of all members for the same labels.

    Attributes:
        difference: (K, P) predicted return of the first segment minus that of the second.
        losses: (K, P) nats, with the error floor.
        targets: (P,) 1 = first is better, 0.5 = tie.
        teachers: (P,) ids.
        uniform: (P,) pairs drawn uniformly.
        learned: (K, P) labels in the member's bag.
        held: (K, P) labels that it never learned from.
        counts: (K, 2) of all labels, how many the member holds out, and how many it can do
            nothing with because their episodes are on different sides.
        floors: (P,) share of such answers that is taken for random.
    """

    difference: NDArray[np.float32]
    losses: NDArray[np.float32]
    targets: NDArray[np.float32]
    teachers: NDArray[np.int64]
    uniform: Mask
    learned: Mask
    held: Mask
    counts: NDArray[np.int64]
    floors: NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """How long one member was trained.

    Attributes:
        batches: of them.
        pairs: in all batches; one that is several times in the bag is evaluated once.
        epochs: passes over its bag that they make.
        left: passes that it was to make and has not, because its batches were used up.
    """

    batches: int
    pairs: int
    epochs: float
    left: float


@dataclass(frozen=True)
class FitReport:
    """Result of one fit.

    Attributes:
        metrics: by the monitor's names; None where there was nothing to measure on.
        l2: (K,) weight of the L2 penalty each member ended with.
        batches: (K,) batches each member was trained on.
        pairs: (K,) pairs that were evaluated in them.
        labels: labels used.
        passes_left: over the labels, which another fit should make before they can be said to have
            been learned; of the member that lacks most.
        predicted: (n,) for answers that some member never learned from, what those members expect:
            the probability that the first segment is preferred.
        answered: (n,) what was answered: 1, 0, 0.5 for a tie.
    """

    metrics: dict[str, float | None]
    l2: tuple[float, ...]
    batches: tuple[int, ...]
    pairs: tuple[int, ...]
    labels: int
    passes_left: float
    predicted: NDArray[np.float64]
    answered: NDArray[np.float32]


def summarise(
    judged: Judged, l2: Sequence[float], trained: Sequence[Trained], labels: int
) -> FitReport:
    """Average over members; accuracy counts decided answers only.

    A held-out label is predicted by the mean of the members that never learned from its
    episodes, so that each counts once.
    """
    accuracy, _ = _accuracy(judged, judged.learned)
    accuracy_heldout, decided = _accuracy(judged, judged.held)
    loss, loss_heldout = (_mean(judged.losses, one) for one in (judged.learned, judged.held))
    metrics = {
        "reward_model/loss": loss,
        "reward_model/loss_heldout": loss_heldout,
        "reward_model/loss_ratio": loss_heldout / loss if loss and loss_heldout else None,
        "reward_model/accuracy": accuracy,
        "reward_model/accuracy_heldout": accuracy_heldout,
        "reward_model/accuracy_heldout_uniform": _accuracy(judged, judged.held & judged.uniform)[0],
        "reward_model/decided_heldout": float(decided),
        "reward_model/l2": float(np.mean(l2)),
        "reward_model/label_entropy_bound": label_entropy_bound(judged.targets),
        "reward_model/labels": float(labels),
        "reward_model/labels_heldout": float(judged.counts[:, 0].mean()),
        "reward_model/labels_lost": float(judged.counts[:, 1].mean()),
        "reward_model/batches": float(sum(one.batches for one in trained)),
        "reward_model/epochs": float(np.mean([one.epochs for one in trained])),
    }
    asked = judged.held.any(axis=0)
    floors = judged.floors[asked]
    predicted = (1 - floors) * _chance(judged, judged.held, asked) + floors / 2
    answered = judged.targets[asked]
    batches = tuple(one.batches for one in trained)
    pairs = tuple(one.pairs for one in trained)
    left = max(one.left for one in trained)
    return FitReport(metrics, tuple(l2), batches, pairs, labels, left, predicted, answered)


def _mean(losses: NDArray[np.float32], where: Mask) -> float | None:
    """Mean over members of each member's mean; None without labels."""
    means = [row[mask].mean() for row, mask in zip(losses, where, strict=True) if mask.any()]
    return float(np.mean(means)) if means else None


def _accuracy(judged: Judged, where: Mask) -> tuple[float | None, int]:
    """Share of decided answers predicted, and how many of them there were."""
    asked = where.any(axis=0) & (judged.targets != 0.5)
    count = int(asked.sum())
    if not count:
        return None, 0
    right = (_chance(judged, where, asked) > 0.5) == (judged.targets[asked] > 0.5)
    return float(right.mean()), count


def _chance(judged: Judged, where: Mask, asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """P(first is better) by the mean of the members in `where`, for the labels asked about."""
    chance = (1 + np.tanh(judged.difference[:, asked] / 2)) / 2
    votes = where[:, asked]
    share: NDArray[np.float64] = (chance * votes).sum(axis=0) / votes.sum(axis=0)
    return share

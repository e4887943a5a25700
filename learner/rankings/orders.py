"""Rankings: an order over demonstrations, by whatever is known of them.

T-REX ranks by true return or by a person's order, Brown et al. 2019 also by training time; D-REX
(Brown et al. 2020) by how much noise was injected into a cloned policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learner.errors import LearnerError

RankingKind = Literal["true_return", "training_time", "noise", "person"]


class RankingError(LearnerError):
    """A ranking that says nothing, or does not fit its demonstrations."""


@dataclass(frozen=True)
class Ranking:
    """How good each demonstration is said to be.

    Attributes:
        kind: what the order rests on.
        ranks: (demonstrations,) higher is better; equal ones are tied.
        gap: ranks that differ, but by less than this, are not compared at all.
    """

    kind: RankingKind
    ranks: NDArray[np.float64]
    gap: float = 0.0

    def __post_init__(self) -> None:
        assert self.ranks.ndim == 1, self.ranks.shape
        if len(self.ranks) < 2:
            raise RankingError(
                f"a ranking by {self.kind} needs two demonstrations or more, not {len(self.ranks)}"
            )
        if not np.isfinite(self.ranks).all():
            raise RankingError(f"a ranking by {self.kind} holds a rank that is not a number")
        if np.ptp(self.ranks) < max(self.gap, np.finfo(float).tiny):
            raise RankingError(
                f"there is nothing to rank by {self.kind}: all {len(self.ranks)} demonstrations "
                f"stand at {self.ranks[0]:g}; take more demonstrations, or other ones"
            )

    def subset(self, chosen: NDArray[np.integer[Any]]) -> Ranking:
        """The order among some of the demonstrations.

        Raises:
            RankingError: they are all tied.
        """
        return Ranking(self.kind, self.ranks[chosen], self.gap)

    def compare(self) -> NDArray[np.int8]:
        """(n, n) 1 where the row's demonstration is better, -1 worse, 0 tied, 2 not compared."""
        difference = self.ranks[:, None] - self.ranks[None, :]
        order = np.sign(difference).astype(np.int8)
        order[(np.abs(difference) < self.gap - 1e-9) & (order != 0)] = 2
        return order


def by_true_return(returns: ArrayLike) -> Ranking:
    """T-REX with ground-truth order; equal returns are ties."""
    # Sums of equal rewards may differ in the last bit; that is a tie, not an order.
    values: NDArray[np.float64] = np.asarray(returns, dtype=np.float64)
    return Ranking("true_return", values.round(6))


def by_training_time(policy_steps: ArrayLike) -> Ranking:
    """Later checkpoints count as better, without a look at any reward."""
    return Ranking("training_time", np.asarray(policy_steps, dtype=np.float64))


def by_noise(levels: ArrayLike, gap: float) -> Ranking:
    """D-REX: less injected noise is better.

    Args:
        levels: (demonstrations,) share of random actions; above 1 for the bin that does nothing,
            which ranks below all noise.
        gap: least difference of noise at which two demonstrations are compared (0.3 in D-REX's
            MuJoCo code).
    """
    return Ranking("noise", -np.asarray(levels, dtype=np.float64), gap)


def by_person(places: Sequence[int]) -> Ranking:
    """A person's order.

    Args:
        places: (demonstrations,) place of each, 0 the best; equal places are ties.
    """
    return Ranking("person", -np.asarray(places, dtype=np.float64))

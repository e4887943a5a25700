"""A stand-in for EPIC where the true reward is known on observed transitions alone.

DARD (Wulfe et al. 2022) shapes a reward with transitions that are near to feasible, which needs
a transition model. Without one, only the transitions at hand remain: for a reward of the state
before the action, R(s), what DARD adds and subtracts for the state after it is known along the
episode. The decision page says what this can and cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.evaluation.epic import pearson_distance


def dard_proxy(
    predicted: Sequence[NDArray[np.floating[Any]]],
    true: Sequence[NDArray[np.floating[Any]]],
    *,
    gamma: float,
) -> float:
    """Pearson distance of two rewards shaped along observed episodes; NaN if undefined.

    C(R)(t) = R(t) + gamma R(t+1) - E[R(t)] - gamma E[R(t+1)], with expectations over the steps
    of the other episodes at the same time: what an agent of this data would have got anyway.
    Steps that one episode alone reaches have none beside them and are left out.

    Args:
        predicted: per episode, (steps,) rewards.
        true: per episode, (steps,) rewards of the same steps.
        gamma: discount.
    """
    x, y = _shaped(predicted, gamma), _shaped(true, gamma)
    return pearson_distance(x, y) if len(x) else float("nan")


def _shaped(rewards: Sequence[NDArray[np.floating[Any]]], gamma: float) -> NDArray[np.float64]:
    longest = max(map(len, rewards), default=0)
    totals, counts = np.zeros(longest), np.zeros(longest)
    for one in rewards:
        totals[: len(one)] += one
        counts[: len(one)] += 1
    shared = int((counts > 1).sum())  # the first steps; the longest episode goes on alone
    rounding = 1e-12 * np.abs(totals).max(initial=0.0)
    parts = [np.zeros(0)]
    for one in rewards:
        own = np.asarray(one, np.float64)[:shared]
        others = (totals[: len(own)] - own) / (counts[: len(own)] - 1)
        excess = own - others
        excess[np.abs(excess) <= rounding] = 0.0  # of equal rewards, and no signal
        parts.append(excess[:-1] + gamma * excess[1:])
    return np.concatenate(parts)

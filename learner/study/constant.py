"""The constant of a reward that pairs of equal length leave free, read off whole demonstrations.

r + c orders snippets of one length as r does, yet c decides whether an agent lingers or hurries,
and it moves the predicted return of long episodes past that of short ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from learner.rankings.orders import Ranking

_RIDGE = 1e-4  # where returns order everything, the weights would grow without end


def ranked_constant(
    returns: NDArray[np.floating[Any]], lengths: NDArray[np.integer[Any]], ranking: Ranking
) -> float | None:
    """The constant under which summed rewards explain an order of whole demonstrations best.

    A logistic regression of which of two ranks higher on the difference of their predicted
    returns and of their lengths; the constant is the ratio of the two weights. Ties say nothing.

    Args:
        returns: (demonstrations,) sums of predicted rewards.
        lengths: (demonstrations,) steps.
        ranking: their order.

    Returns:
        Reward per step; None where higher returns do not speak for higher ranks, so that no
        constant helps.
    """
    better, worse = np.nonzero(ranking.compare() == 1)
    gained = (returns[better] - returns[worse]).astype(np.float64)
    longer = (lengths[better] - lengths[worse]).astype(np.float64)
    # What length explains of the returns goes first, so that their own constant changes nothing.
    slope = float(gained @ longer) / max(float(longer @ longer), 1.0)
    features = np.stack([gained - slope * longer, longer], axis=1)
    scale = np.sqrt(np.square(features).mean(axis=0))
    scale[scale == 0] = 1.0
    features /= scale

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = features @ weights
        value = np.logaddexp(0.0, -margin).mean() + _RIDGE * (weights @ weights)
        gradient = -(expit(-margin) @ features) / len(features) + 2 * _RIDGE * weights
        return float(value), gradient

    for_return, for_length = minimize(loss, np.zeros(2), jac=True, method="BFGS").x / scale
    return float(for_length / for_return - slope) if for_return > 0 else None

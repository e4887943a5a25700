"""A figure with its interval, and the bootstrap that most intervals come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

CONFIDENCE = 0.95
RESAMPLES = 2000

# Elements of one block of resampled values: keeps 2,000 resamples of a large set in memory.
_BLOCK = 4_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A statistic and its confidence interval.

    Attributes:
        value: the statistic on the data as they are; NaN where it is not defined.
        low: lower end of the interval.
        high: upper end.
        n: how many independent items (pairs, episodes, runs) it rests on.
    """

    value: float
    low: float
    high: float
    n: int


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.floating[Any]]],
    n: int,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """A statistic with its bias-corrected percentile interval (Efron 1981).

    The correction matters for rank and partial correlations: a resample repeats items, which by
    itself moves them away from 0, and the plain percentile interval with them.

    Args:
        statistic: from (resamples, n) positions to (resamples,) values; resamples on which it is
            not defined give NaN and are left out.
        n: number of items.
        rng: source of the resamples.
        resamples: how many.
        confidence: of the interval.
    """
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(statistic(np.arange(n)[np.newaxis])[0])
    blocks = []
    left = resamples
    while left:
        rows = max(1, min(left, _BLOCK // n))
        blocks.append(statistic(rng.integers(n, size=(rows, n))))
        left -= rows
    low, high = quantiles(np.concatenate(blocks), confidence, around=value)
    return Estimate(value, low, high, n)


def quantiles(
    values: ArrayLike, confidence: float, around: float | None = None
) -> tuple[float, float]:
    """The central interval of a resampled statistic; NaN values are left out.

    Args:
        values: (resamples,) values.
        confidence: share of them within the interval.
        around: the statistic on the data themselves; given, the interval is corrected for how
            far its rank among the resamples is from the middle.

    Returns:
        Lower and upper end; NaN if no resample has a value, or `around` has none.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known) or around != around:
        return float("nan"), float("nan")
    reach = ndtri(0.5 + confidence / 2.0)
    shift = 0.0
    if around is not None:
        below = np.mean(known < around) + np.mean(known == around) / 2.0
        edge = 0.5 / len(known)
        shift = 2.0 * ndtri(np.clip(below, edge, 1.0 - edge))
    low, high = np.quantile(known, ndtr([shift - reach, shift + reach]))
    return float(low), float(high)

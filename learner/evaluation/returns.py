"""Returns of agents: means and interquartile means with intervals, and tests of improvement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import permutation_test, trim_mean

from learner.evaluation.estimates import (
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    Floats,
    bootstrap,
    quantiles,
)


def mean_return(
    returns: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Mean with its bootstrap interval over episodes (or over runs).

    Args:
        returns: (episodes,) true returns, environment units.
        rng: source of the resamples.
        resamples: how many.
        confidence: of the interval.
    """
    values = np.asarray(returns, dtype=np.float64)
    assert values.ndim == 1, values.shape

    def means(picks: NDArray[np.int64]) -> Floats:
        resampled: Floats = values[picks].mean(axis=1)
        return resampled

    return bootstrap(means, len(values), rng=rng, resamples=resamples, confidence=confidence)


def interquartile_mean(
    scores: Sequence[ArrayLike],
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Mean of the middle half of all scores, its interval from a bootstrap within each task.

    Agarwal et al. 2021 (rliable), section 4.3.

    Args:
        scores: per task, (runs,) normalised scores.
        rng: source of the resamples.
        resamples: how many.
        confidence: of the interval.
    """
    tasks = [np.asarray(task, dtype=np.float64) for task in scores]
    assert tasks, "an interquartile mean needs at least one task"
    assert all(task.ndim == 1 and len(task) for task in tasks), [task.shape for task in tasks]
    resampled = np.concatenate(
        [task[rng.integers(len(task), size=(resamples, len(task)))] for task in tasks], axis=1
    )
    low, high = quantiles(trim_mean(resampled, 0.25, axis=1), confidence)
    pooled = np.concatenate(tasks)
    return Estimate(float(trim_mean(pooled, 0.25)), low, high, len(pooled))


def improvement_p_value(
    before: ArrayLike, after: ArrayLike, *, rng: np.random.Generator, resamples: int = 9999
) -> float:
    """Permutation test of "the mean return rose": its one-sided p-value.

    Exact where there are at most `resamples` ways to divide the returns, else by that many random
    ones (Phipson and Smyth 2010, so never 0).

    Args:
        before: (episodes,) returns of the one agent, at least two.
        after: (episodes,) returns of the other, at least two.
        rng: source of the permutations.
        resamples: how many.
    """

    def rise(x: Floats, y: Floats, axis: int) -> Floats:
        difference: Floats = np.mean(x, axis=axis) - np.mean(y, axis=axis)
        return difference

    result = permutation_test(
        (np.asarray(after, dtype=np.float64), np.asarray(before, dtype=np.float64)),
        rise,
        vectorized=True,
        n_resamples=resamples,
        alternative="greater",
        rng=rng,
    )
    return float(result.pvalue)

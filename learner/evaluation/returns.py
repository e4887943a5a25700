"""Returns of agents: means and interquartile means with intervals, and tests of improvement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import permutation_test, trim_mean
from scipy.stats import t as student

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
    """Mean with its bootstrap interval over episodes; for a few runs see `mean_over_runs`.

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


def mean_over_runs(values: ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Mean over independent runs with Student's interval.

    For three or five seeds: a bootstrap of so few never leaves their range, and covers far less
    than it says.

    Args:
        values: (runs,) one figure of each; of a single one the interval is unbounded.
        confidence: of the interval.
    """
    runs = np.asarray(values, dtype=np.float64)
    assert runs.ndim == 1, runs.shape
    assert len(runs), "a mean of no runs"
    mean, half = float(runs.mean()), float("inf")
    if len(runs) > 1:
        half = float(_reach(len(runs), confidence) * runs.std(ddof=1) / np.sqrt(len(runs)))
    return Estimate(mean, mean - half, mean + half, len(runs))


def ratio_over_runs(
    values: ArrayLike, bases: ArrayLike, *, confidence: float = CONFIDENCE
) -> Estimate:
    """Ratio of two means over paired runs with Fieller's interval (1954).

    Args:
        values: (runs,) one figure of each run, e.g. on the learned reward.
        bases: (runs,) what it is compared with, of the run with the same seed.
        confidence: of the interval.

    Returns:
        The ratio of the means; unbounded where the base is not clearly different from 0.
    """
    x, y = np.asarray(values, dtype=np.float64), np.asarray(bases, dtype=np.float64)
    assert x.shape == y.shape, (x.shape, y.shape)
    n, ratio = len(x), float(x.mean() / y.mean())
    if n < 2:
        return Estimate(ratio, -np.inf, np.inf, n)
    # All q with (mean(x - q y))^2 <= t^2 var(x - q y) / n: a q^2 - 2 b q + c <= 0.
    (xx, xy), (_, yy) = np.cov(x, y) * _reach(n, confidence) ** 2 / n
    a, b, c = y.mean() ** 2 - yy, x.mean() * y.mean() - xy, x.mean() ** 2 - xx
    if a <= 0:
        return Estimate(ratio, -np.inf, np.inf, n)
    half = np.sqrt(max(b * b - a * c, 0.0)) / a
    return Estimate(ratio, float(b / a - half), float(b / a + half), n)


def _reach(n: int, confidence: float) -> float:
    """Student's quantile for the mean of n values."""
    return float(student.ppf(0.5 + confidence / 2, n - 1))


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

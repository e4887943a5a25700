"""Correlation of predicted and true return, raw, with the reward centred, and given length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from learner.evaluation.estimates import CONFIDENCE, RESAMPLES, Estimate, Floats, bootstrap


@dataclass(frozen=True)
class ReturnCorrelations:
    """Predicted against true return over episodes.

    Equal-length pairs leave the reward's constant free, and a constant adds c x length to every
    return. So each correlation stands beside the same with the mean reward subtracted, beside
    the one that length alone reaches, and beside the partial one given length.
    """

    pearson: Estimate
    spearman: Estimate
    pearson_centred: Estimate
    spearman_centred: Estimate
    spearman_given_length: Estimate
    pearson_length: Estimate
    spearman_length: Estimate
    pearson_given_length: Estimate


@dataclass(frozen=True)
class TimeCorrelation:
    """Spearman correlation of reward and time within episodes: median and quartiles over them.

    Attributes:
        n: episodes in which it is defined (at least two different rewards).
    """

    median: float
    lower_quartile: float
    upper_quartile: float
    n: int


def pearson(
    x: ArrayLike, y: ArrayLike, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Estimate:
    """Pearson's correlation with a bootstrap interval over items; NaN if either is constant."""
    return _estimate(_pearson, (x, y), rng, resamples)


def spearman(
    x: ArrayLike, y: ArrayLike, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Estimate:
    """Spearman's rank correlation (equal values share their mean rank), as `pearson`."""
    return _estimate(_spearman, (x, y), rng, resamples)


def partial_spearman(
    x: ArrayLike,
    y: ArrayLike,
    given: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Spearman's correlation of x and y with the ranks of a third quantity held fixed.

    NaN if x or y is an increasing or decreasing function of it; Spearman's own correlation if it
    is constant.
    """
    return _estimate(_partial_spearman, (x, y, given), rng, resamples, confidence)


def partial_pearson(
    x: ArrayLike,
    y: ArrayLike,
    given: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Pearson's correlation of what a line over a third quantity leaves of x and of y.

    NaN if it leaves nothing of either; Pearson's own correlation if the third is constant. Adding
    a multiple of the third to x or y changes nothing.
    """
    return _estimate(_partial_pearson, (x, y, given), rng, resamples)


def return_correlations(
    predicted: ArrayLike,
    true: ArrayLike,
    lengths: ArrayLike,
    mean_reward: float,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> ReturnCorrelations:
    """All correlations of predicted and true return.

    Args:
        predicted: (episodes,) sums of predicted rewards.
        true: (episodes,) true returns, environment units.
        lengths: (episodes,) steps.
        mean_reward: mean predicted reward per step over the *training* segments: the constant
            that "centred" subtracts from each step.
        rng: source of the resamples.
        resamples: how many.
    """
    steps = np.asarray(lengths, dtype=np.float64)
    centred = np.asarray(predicted, dtype=np.float64) - mean_reward * steps

    def estimate(statistic: Callable[..., Floats], *columns: ArrayLike) -> Estimate:
        return _estimate(statistic, columns, rng, resamples)

    return ReturnCorrelations(
        pearson=estimate(_pearson, predicted, true),
        spearman=estimate(_spearman, predicted, true),
        pearson_centred=estimate(_pearson, centred, true),
        spearman_centred=estimate(_spearman, centred, true),
        spearman_given_length=estimate(_partial_spearman, predicted, true, steps),
        pearson_length=estimate(_pearson, steps, true),
        spearman_length=estimate(_spearman, steps, true),
        pearson_given_length=estimate(_partial_pearson, predicted, true, steps),
    )


def time_correlation(rewards: Sequence[ArrayLike]) -> TimeCorrelation:
    """How far rewards follow the clock: Spearman(reward, step) in each episode.

    Args:
        rewards: per episode, (steps,) predicted rewards.
    """
    values = []
    for episode in rewards:
        reward = np.asarray(episode, dtype=np.float64)
        values.append(float(_spearman(reward, np.arange(len(reward), dtype=np.float64))))
    known = [value for value in values if value == value]
    if not known:
        return TimeCorrelation(float("nan"), float("nan"), float("nan"), 0)
    lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
    return TimeCorrelation(float(median), float(lower), float(upper), len(known))


def _estimate(
    statistic: Callable[..., Floats],
    columns: Sequence[ArrayLike],
    rng: np.random.Generator,
    resamples: int,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """A statistic of equally long columns, (..., n) each, with its bootstrap interval over n."""
    data = [np.asarray(column, dtype=np.float64) for column in columns]
    n = len(data[0])
    assert all(column.shape == (n,) for column in data), [column.shape for column in data]

    def resampled(picks: NDArray[np.int64]) -> Floats:
        return statistic(*(column[picks] for column in data))

    return bootstrap(resampled, n, rng=rng, resamples=resamples, confidence=confidence)


def _pearson(x: Floats, y: Floats) -> Floats:
    """Along the last axis: (..., n), (..., n) -> (...)."""
    if x.shape[-1] < 2:
        return np.full(x.shape[:-1], np.nan)
    # Told by its values: rounding can leave a constant column a spread that is not quite 0.
    varied = (np.ptp(x, axis=-1) > 0) & (np.ptp(y, axis=-1) > 0)
    x = x - x.mean(axis=-1, keepdims=True)
    y = y - y.mean(axis=-1, keepdims=True)
    spread = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    defined = varied & (spread > 0)
    ratio = (x * y).sum(axis=-1) / np.where(defined, spread, 1.0)
    return np.where(defined, np.clip(ratio, -1.0, 1.0), np.nan)


def _spearman(x: Floats, y: Floats) -> Floats:
    if x.shape[-1] < 2:
        return np.full(x.shape[:-1], np.nan)
    return _pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def _partial_spearman(x: Floats, y: Floats, given: Floats) -> Floats:
    if x.shape[-1] < 2:
        return np.full(x.shape[:-1], np.nan)
    return _partial_pearson(*(rankdata(column, axis=-1) for column in (x, y, given)))


def _partial_pearson(x: Floats, y: Floats, given: Floats) -> Floats:
    """First-order partial correlation."""
    xy, xz, yz = _pearson(x, y), _pearson(x, given), _pearson(y, given)
    # A constant third quantity holds nothing fixed.
    xz, yz = np.nan_to_num(xz), np.nan_to_num(yz)
    left = (1.0 - xz**2) * (1.0 - yz**2)
    defined = left > 1e-12
    return np.where(defined, (xy - xz * yz) / np.sqrt(np.where(defined, left, 1.0)), np.nan)

"""How far people agree: Krippendorff's alpha, Cohen's and Fleiss' kappa, raw agreement.

Pure arithmetic on arrays. Sides must be un-swapped before: an answer says which *segment* is
better, never which side of the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Level = Literal["nominal", "ordinal", "interval"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """A coefficient with its bootstrap interval over items.

    Attributes:
        value: 1 is full agreement, 0 what chance gives, below 0 worse than chance; NaN where
            nothing varies or no item has two ratings.
        low: lower end of the interval.
        high: upper end.
        n: items with at least two ratings, the only ones that tell anything.
    """

    value: float
    low: float
    high: float
    n: int


def rating_counts(ratings: ArrayLike, values: Sequence[float]) -> NDArray[np.int64]:
    """Count each item's ratings by value.

    Args:
        ratings: (raters, items) with NaN where a rater did not see an item.
        values: the possible ratings, in order.

    Returns:
        (items, values).
    """
    table = np.asarray(ratings, dtype=np.float64)
    assert table.ndim == 2, table.shape
    counts: NDArray[np.int64] = np.stack([(table == value).sum(axis=0) for value in values], axis=1)
    assert counts.sum() == (~np.isnan(table)).sum(), "a rating is not among the values"
    return counts


def krippendorff_alpha(
    counts: ArrayLike,
    values: Sequence[float],
    level: Level = "nominal",
    *,
    rng: np.random.Generator,
    clusters: ArrayLike | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Agreement:
    """Krippendorff's alpha = 1 - D_o / D_e, for any number of raters and missing ratings.

    Krippendorff 2011, "Computing Krippendorff's alpha-reliability".

    Args:
        counts: (items, values) how many raters gave each value to each item.
        values: what each column stands for; used by the interval level.
        level: nominal takes any two different values as equally far apart, ordinal by the ratings
            that lie between them, interval by their difference.
        rng: source of the resamples.
        clusters: (items,) items of one number stand or fall together, such as one rating beside
            each of several others: they are drawn as one; None = each item by itself.
        resamples: how many times clusters are drawn with replacement.
        confidence: of the interval.
    """
    table = np.asarray(counts, dtype=np.float64)
    assert table.shape[1:] == (len(values),), (table.shape, len(values))
    rated = table.sum(axis=1) >= 2
    n = int(rated.sum())
    if n == 0:
        return Agreement(float("nan"), float("nan"), float("nan"), 0)
    each = _coincidences(table[rated])
    if clusters is not None:
        each = _summed(each, np.asarray(clusters)[rated])
    # What is rated alike is one: few are left of thousands, and the resamples cost next to nothing.
    each, often = np.unique(each, axis=0, return_counts=True)
    whole = np.tensordot(often.astype(np.float64), each, axes=1)
    value = _alpha(whole[np.newaxis], np.asarray(values, np.float64), level)[0]
    weights = rng.multinomial(often.sum(), often / often.sum(), size=resamples)
    drawn = np.tensordot(weights.astype(np.float64), each, axes=1)
    resampled = _alpha(drawn, np.asarray(values, np.float64), level)
    low, high = _interval(resampled, confidence)
    return Agreement(float(value), low, high, n)


def cohen_kappa(table: ArrayLike) -> float:
    """Cohen's kappa of two raters; NaN if chance alone would make them agree always.

    Args:
        table: (values, values) items by the first rater's value and the second's.
    """
    shares = np.asarray(table, dtype=np.float64)
    assert shares.ndim == 2, shares.shape
    assert shares.shape[0] == shares.shape[1], shares.shape
    shares = shares / shares.sum()
    observed = float(np.trace(shares))
    expected = float(shares.sum(axis=1) @ shares.sum(axis=0))
    return (observed - expected) / (1.0 - expected) if expected < 1.0 else float("nan")


def fleiss_kappa(counts: ArrayLike) -> float:
    """Fleiss' kappa; NaN if only one value was ever given.

    Args:
        counts: (items, values) ratings; every item must have the same number, at least two.
    """
    table = np.asarray(counts, dtype=np.float64)
    raters = table.sum(axis=1)
    assert (raters == raters[0]).all(), "Fleiss' kappa needs equally many ratings of each item"
    assert raters[0] >= 2, "Fleiss' kappa needs two ratings of each item"
    within = ((table**2).sum(axis=1) - raters) / (raters * (raters - 1))
    expected = float(((table.sum(axis=0) / table.sum()) ** 2).sum())
    if expected == 1.0:
        return float("nan")
    return (float(within.mean()) - expected) / (1.0 - expected)


def raw_agreement(counts: ArrayLike) -> float:
    """Share of pairs of ratings of one item that are equal; NaN without any pair.

    Kappa falls where nearly all answers are the same, however well people agree, so this always
    stands beside it.
    """
    table = np.asarray(counts, dtype=np.float64)
    raters = table.sum(axis=1)
    pairs = float((raters * (raters - 1)).sum())
    return float((table * (table - 1)).sum()) / pairs if pairs else float("nan")


def _coincidences(table: Floats) -> Floats:
    """Each item's ordered pairs of ratings, by value, over (ratings - 1): (items, v, v)."""
    pairs = table[:, :, None] * table[:, None, :]
    diagonal = np.arange(table.shape[1])
    pairs[:, diagonal, diagonal] -= table
    weighted: Floats = pairs / (table.sum(axis=1) - 1.0)[:, None, None]
    return weighted


def _summed(each: Floats, clusters: NDArray[Any]) -> Floats:
    """The coincidences of each cluster's items together: (clusters, v, v)."""
    names, place = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(names), *each.shape[1:]))
    np.add.at(sums, place, each)
    return sums


def _alpha(coincidences: Floats, values: Floats, level: Level) -> Floats:
    """Alpha from (..., v, v) coincidence tables; NaN where only one value occurs."""
    totals = coincidences.sum(axis=-1)  # (..., v)
    ratings = totals.sum(axis=-1)
    distance = _squared_distance(totals, values, level)
    observed = (coincidences * distance).sum(axis=(-2, -1)) / ratings
    products = totals[..., :, None] * totals[..., None, :]
    expected = (products * distance).sum(axis=(-2, -1)) / (ratings * (ratings - 1.0))
    varied = expected > 0
    return np.where(varied, 1.0 - observed / np.where(varied, expected, 1.0), np.nan)


def _squared_distance(totals: Floats, values: Floats, level: Level) -> Floats:
    """How far two values are apart, squared: broadcasts to (..., v, v); 0 on the diagonal."""
    if level == "nominal":
        return np.subtract(1.0, np.eye(len(values)))
    if level == "interval":
        return np.square(values[:, None] - values[None, :])
    # Ratings up to each value's middle; their difference is the ratings that lie between.
    middle = np.cumsum(totals, axis=-1) - totals / 2.0
    between: Floats = np.square(middle[..., :, None] - middle[..., None, :])
    return between


def _interval(resampled: Floats, confidence: float) -> tuple[float, float]:
    known = resampled[~np.isnan(resampled)]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)

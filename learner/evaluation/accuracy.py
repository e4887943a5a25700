"""Preference accuracy with Wilson intervals, and the clock that it has to be compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from learner.evaluation.estimates import CONFIDENCE, Estimate, Floats

# Above this an evaluation set can be won by a clock; figures on it carry a warning.
CLOCK_LIMIT = 0.55


@dataclass(frozen=True)
class Accuracy:
    """Share of decided pairs ordered as labelled.

    Attributes:
        estimate: the share with its Wilson interval; `n` counts independent decided pairs.
        ties: pairs labelled as ties (or anything else undecided), which are left out.
    """

    estimate: Estimate
    ties: int


@dataclass(frozen=True)
class ClockAccuracy:
    """How well a clock alone orders the pairs of an evaluation set.

    Each is the accuracy of "the larger one wins": 0.5 where it tells nothing, and as telling
    below 0.5 as above it, since a reward may fall with time as easily as rise.
    """

    start: Accuracy
    end: Accuracy
    length: Accuracy

    @property
    def strongest(self) -> float:
        """Accuracy of the best of the three, taken in its better direction; 0.5 if no pair is."""
        values = [one.estimate.value for one in (self.start, self.end, self.length)]
        return max((max(value, 1.0 - value) for value in values if value == value), default=0.5)

    @property
    def leaks(self) -> bool:
        """True if the set rewards a clock, so that accuracy on it is no evidence of learning."""
        return self.strongest > CLOCK_LIMIT


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927).

    Args:
        successes: how many of n, at most n; half successes are allowed.
        n: trials, or as many as they are worth; 0 gives the whole of [0, 1].
        confidence: of the interval.
    """
    assert 0 <= successes <= n, (successes, n)
    if n == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + confidence / 2.0))
    share = successes / n
    centre = share + z * z / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the square root is not exact, and an interval never leaves [0, 1].
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def preference_accuracy(
    differences: ArrayLike,
    targets: ArrayLike,
    confidence: float = CONFIDENCE,
    *,
    episodes: int | None = None,
) -> Accuracy:
    """Share of decided pairs that a predictor orders as labelled.

    Args:
        differences: (pairs,) predicted return of the first segment minus the second's. Exactly 0
            is a guess, and counts half.
        targets: (pairs,) probability that the first is better: 1, 0, or 0.5 for a tie.
        confidence: of the interval.
        episodes: from how many the pairs were drawn, each pair of two different ones, each
            episode many times; None where no two pairs share one. Such pairs depend on each
            other: their share is a U-statistic of order 2, whose variance is at most that of
            `episodes` / 2 pairs that share nothing (Hoeffding 1948, section 5), and the interval
            is that of so many.
    """
    predicted = np.sign(np.asarray(differences, dtype=np.float64))
    labelled = np.sign(np.asarray(targets, dtype=np.float64) - 0.5)
    assert predicted.shape == labelled.shape, (predicted.shape, labelled.shape)
    assert not np.isnan(predicted).any(), "a predicted difference is NaN"
    decided = labelled != 0
    n = int(decided.sum())
    correct = float(((1.0 + predicted * labelled) / 2.0)[decided].sum())
    value = correct / n if n else float("nan")
    independent = float(n)
    if episodes is not None and n:
        independent = min(independent, episodes / 2 * n / len(labelled))
    low, high = wilson(value * independent if n else 0.0, independent, confidence)
    return Accuracy(Estimate(value, low, high, round(independent)), ties=len(labelled) - n)


def clock_accuracy(
    starts: ArrayLike,
    lengths: ArrayLike,
    targets: ArrayLike,
    confidence: float = CONFIDENCE,
    *,
    episodes: int | None = None,
) -> ClockAccuracy:
    """Accuracy of start time, end time and length as lone predictors of the labels.

    Args:
        starts: (pairs, 2) first step of each segment within its episode.
        lengths: (pairs, 2) steps of each segment.
        targets: (pairs,) probability that the first is better.
        confidence: of the intervals.
        episodes: as in `preference_accuracy`.
    """
    start = np.asarray(starts, dtype=np.float64).reshape(-1, 2)
    length = np.asarray(lengths, dtype=np.float64).reshape(-1, 2)

    def alone(values: Floats) -> Accuracy:
        differences = values[:, 0] - values[:, 1]
        return preference_accuracy(differences, targets, confidence, episodes=episodes)

    return ClockAccuracy(start=alone(start), end=alone(start + length), length=alone(length))

"""What labels cost and what they bring: time of people, accuracy by labels, the next hundred.

Pure arithmetic. Accuracy on held-out answers is taken to follow a - b n^-c, the usual shape of
learning curves (Hestness et al. 2017, "Deep learning scaling is predictable, empirically").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.models import Answer

Floats = NDArray[np.float64]

NEXT = 100
"""Labels whose gain is foretold."""

LEAST_FITS = 5
"""Versions of the reward model below which no curve is drawn through them."""

_EXPONENTS = np.linspace(0.1, 2.0, 39)
_RESAMPLES = 300
_TAILS = (0.05, 0.95)


@dataclass(frozen=True)
class Fitted:
    """One version of the reward model on answers that it did not learn from.

    Attributes:
        labels: that it learned from.
        accuracy: share of decided held-out answers that it predicts.
        decided: how many of them there were.
    """

    labels: int
    accuracy: float
    decided: int


@dataclass(frozen=True)
class Curve:
    """Accuracy against labels: `limit` - `drop` n^-`exponent`."""

    limit: float
    drop: float
    exponent: float

    def at(self, labels: float) -> float:
        """Expected accuracy after so many labels."""
        return self.limit - self.drop * math.pow(labels, -self.exponent)


@dataclass(frozen=True)
class Outlook:
    """What is to be expected of more labels.

    Attributes:
        curve: through all versions.
        now: expected accuracy with the labels there are.
        gain: what `NEXT` more are expected to add to it.
        low, high: nine tenths of resampled curves say something in between.
    """

    curve: Curve
    now: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """A pair that was answered, with what the reward model expected when it was asked.

    Attributes:
        query: its number.
        strategy: why it was asked.
        predicted: probability that a is better; None before the first model.
        answer: what was said.
    """

    query: int
    strategy: str
    predicted: float | None
    answer: Answer

    @property
    def bits(self) -> float | None:
        """What the answer told the model: -log2 of the probability it gave to it.

        None for ties, "cannot tell", and where there was no model.
        """
        if self.predicted is None or self.answer not in (Answer.A, Answer.B):
            return None
        chance = self.predicted if self.answer is Answer.A else 1.0 - self.predicted
        return -math.log2(min(1.0, max(chance, 0.001)))


@dataclass(frozen=True)
class Worth:
    """What the pairs of one strategy brought.

    Attributes:
        answered: pairs with an answer.
        undecided: share of ties and "cannot tell".
        surprised: share of decided answers against what the model expected; None of nothing.
        bits: mean of what decided answers told it; 1 is a coin that it knew nothing of.
    """

    strategy: str
    answered: int
    undecided: float
    surprised: float | None
    bits: float | None


def fit_curve(fits: Sequence[Fitted]) -> Curve | None:
    """The least-squares curve through versions, each weighted by its held-out answers.

    It rises, and its limit is between chance and 1. None of fewer than `LEAST_FITS` versions, or
    if they all have equally many labels.
    """
    known = [one for one in fits if one.labels > 0 and one.decided > 0]
    if len(known) < LEAST_FITS or len({one.labels for one in known}) < 3:
        return None
    labels, accuracy, decided = (
        np.array(column, dtype=np.float64)
        for column in zip(*((one.labels, one.accuracy, one.decided) for one in known), strict=True)
    )
    return _least_squares(labels, accuracy, decided)


def outlook(fits: Sequence[Fitted]) -> Outlook | None:
    """What the next labels are expected to bring, with how sure that is."""
    curve = fit_curve(fits)
    if curve is None:
        return None
    labels = max(one.labels for one in fits)
    rng = np.random.default_rng(0)  # equal versions, equal interval
    gains = []
    for _ in range(_RESAMPLES):
        drawn = [fits[index] for index in rng.integers(len(fits), size=len(fits))]
        other = fit_curve(drawn)
        if other is not None:
            gains.append(other.at(labels + NEXT) - other.at(labels))
    gain = curve.at(labels + NEXT) - curve.at(labels)
    low, high = (float(end) for end in np.quantile(gains or [gain], _TAILS))
    return Outlook(curve, curve.at(labels), gain, min(low, gain), max(high, gain))


def worth(judged: Sequence[Judged]) -> list[Worth]:
    """What each strategy's pairs brought, the most asked first."""
    by_strategy: dict[str, list[Judged]] = {}
    for one in judged:
        by_strategy.setdefault(one.strategy, []).append(one)
    found = []
    for strategy, ones in by_strategy.items():
        bits = [one.bits for one in ones if one.bits is not None]
        decided = sum(one.answer in (Answer.A, Answer.B) for one in ones)
        found.append(
            Worth(
                strategy=strategy,
                answered=len(ones),
                undecided=1 - decided / len(ones),
                surprised=sum(value > 1 for value in bits) / len(bits) if bits else None,
                bits=math.fsum(bits) / len(bits) if bits else None,
            )
        )
    return sorted(found, key=lambda one: -one.answered)


def most_telling(judged: Sequence[Judged], count: int) -> list[Judged]:
    """The pairs whose answers surprised the model most."""
    telling = [one for one in judged if one.bits is not None]
    return sorted(telling, key=lambda one: -(one.bits or 0.0))[:count]


def _least_squares(labels: Floats, accuracy: Floats, weights: Floats) -> Curve:
    """The best exponent of a grid; limit and drop follow from it in closed form."""
    best, least = Curve(float(np.average(accuracy, weights=weights)), 0.0, 1.0), math.inf
    for exponent in _EXPONENTS:
        falling = labels**-exponent
        x, y = (np.average(one, weights=weights) for one in (falling, accuracy))
        spread = np.average((falling - x) ** 2, weights=weights)
        if spread < 1e-15:
            continue
        slope = np.average((falling - x) * (accuracy - y), weights=weights) / spread
        drop = max(0.0, -float(slope))
        limit = min(1.0, max(0.5, float(y) + drop * float(x)))
        if drop:  # the limit may have been moved into its bounds: then the drop follows it
            drop = max(
                0.0,
                float(
                    np.average((limit - accuracy) * falling, weights=weights)
                    / np.average(falling**2, weights=weights)
                ),
            )
        error = float(np.average((limit - drop * falling - accuracy) ** 2, weights=weights))
        if error < least:
            best, least = Curve(limit, drop, float(exponent)), error
    return best

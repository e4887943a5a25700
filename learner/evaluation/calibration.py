"""Is a predicted preference of 0.8 right four times in five? ECE, Brier, NLL, temperature.

Which side of a pair comes first is arbitrary, so every pair enters the bins both ways round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import entr, expit, log_expit, logsumexp

from learner.evaluation.estimates import Floats

BINS = 15

# Temperatures searched: a model 1,000 times too sure, or too unsure.
_TEMPERATURES = (1e-3, 1e3)


@dataclass(frozen=True)
class ReliabilityPoint:
    """One bin of the reliability diagram.

    Attributes:
        predicted: mean predicted probability in the bin.
        observed: mean label in the bin (a tie is 0.5).
        count: pairs in it, counted both ways round.
    """

    predicted: float
    observed: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """All calibration figures of one evaluation set.

    Attributes:
        ece: expected calibration error.
        brier: mean squared error of the probability.
        nll: mean cross-entropy in nats.
        nll_bound: the least that any predictor can reach on these labels, in nats.
        temperature: what the logits are best divided by; above 1 the model is too sure.
        nll_tempered: cross-entropy after that division.
        points: the reliability diagram.
        n: pairs.
    """

    ece: float
    brier: float
    nll: float
    nll_bound: float
    temperature: float
    nll_tempered: float
    points: tuple[ReliabilityPoint, ...]
    n: int


def calibration(logits: ArrayLike, targets: ArrayLike, bins: int = BINS) -> Calibration:
    """Every figure for a set of pairs of one segment length.

    Args:
        logits: (pairs,) predicted return of the first segment minus the second's. A sum over
            steps, so its temperature belongs to the segment length it was fitted on.
        targets: (pairs,) probability that the first is better.
        bins: of equal mass, for ECE and the diagram.
    """
    z, y = _columns(logits, targets)
    assert len(z), "calibration needs at least one pair"
    points = reliability(expit(z), y, bins)
    best = temperature(z, y)
    return Calibration(
        ece=_ece(points),
        brier=brier(expit(z), y),
        nll=nll(z, y),
        nll_bound=label_entropy(y),
        temperature=best,
        nll_tempered=nll(z / best, y),
        points=points,
        n=len(z),
    )


def joint_logits(logits: ArrayLike) -> Floats:
    """(pairs,) log-odds of the members' mean probability: what an ensemble claims together.

    Args:
        logits: (K, pairs) each member's predicted return of the first segment minus the
            second's, before any normalisation. Exact however large they are.
    """
    z = np.asarray(logits, dtype=np.float64)
    assert z.ndim == 2, z.shape
    found: Floats = logsumexp(log_expit(z), axis=0) - logsumexp(log_expit(-z), axis=0)
    return found


def reliability(
    probabilities: ArrayLike, targets: ArrayLike, bins: int = BINS
) -> tuple[ReliabilityPoint, ...]:
    """Bins of equal mass over predicted probability, each pair counted both ways round.

    Equal probabilities always share a bin, so there may be fewer than `bins`.
    """
    p, y = _columns(probabilities, targets)
    # Rounded, because 1 - 0.7 is not quite 0.3 and the two belong together.
    p, y = np.round(np.concatenate([p, 1.0 - p]), 12), np.concatenate([y, 1.0 - y])
    if not len(p):
        return ()
    edges = np.unique(np.quantile(p, np.linspace(0.0, 1.0, bins + 1)[1:-1], method="higher"))
    member = np.searchsorted(edges, p, side="right")
    return tuple(
        ReliabilityPoint(
            predicted=float(p[member == each].mean()),
            observed=float(y[member == each].mean()),
            count=int((member == each).sum()),
        )
        for each in np.unique(member)
    )


def expected_calibration_error(
    probabilities: ArrayLike, targets: ArrayLike, bins: int = BINS
) -> float:
    """Mean over pairs of |observed - predicted| of their bin (Naeini et al. 2015), symmetrised."""
    return _ece(reliability(probabilities, targets, bins))


def brier(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Mean of (p - y)^2 (Brier 1950); the same either way round."""
    p, y = _columns(probabilities, targets)
    return float(np.mean((p - y) ** 2))


def nll(logits: ArrayLike, targets: ArrayLike) -> float:
    """Mean cross-entropy in nats of labels under sigmoid(logits); exact for any logit."""
    z, y = _columns(logits, targets)
    return float(np.mean(np.logaddexp(0.0, z) - y * z))


def label_entropy(targets: ArrayLike) -> float:
    """Mean entropy of the labels, in nats: no predictor's cross-entropy can be lower.

    With answers a, b and tie it is the share of ties x ln 2 (Ibarz et al. 2018, section 3.3).
    """
    y = np.asarray(targets, dtype=np.float64)
    return float(np.mean(entr(y) + entr(1.0 - y)))


def temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """The T that minimises the cross-entropy of sigmoid(logits / T) (Guo et al. 2017).

    Searched between 0.001 and 1,000: a model that is always right has its best T at the lower
    end, one that knows nothing at the upper.
    """
    z, y = _columns(logits, targets)
    low, high = (math.log(bound) for bound in _TEMPERATURES)
    # In 1/T the cross-entropy is convex, so the one minimum found is the least.
    found = minimize_scalar(
        lambda log_t: nll(z * math.exp(-log_t), y),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return math.exp(float(found.x))


def _ece(points: tuple[ReliabilityPoint, ...]) -> float:
    count = sum(point.count for point in points)
    gaps = (point.count * abs(point.observed - point.predicted) for point in points)
    return math.fsum(gaps) / count if count else float("nan")


def _columns(predicted: ArrayLike, targets: ArrayLike) -> tuple[Floats, Floats]:
    p = np.asarray(predicted, dtype=np.float64)
    y = np.asarray(targets, dtype=np.float64)
    assert p.shape == y.shape, (p.shape, y.shape)
    assert p.ndim == 1, p.shape
    return p, y

"""How a reward model orders pairs: of one mind, as a clock would, as sure as it is right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from learner.evaluation.accuracy import clock_accuracy
from learner.evaluation.calibration import expected_calibration_error

LEAST_PAIRS = 20
"""Pairs below which a calibration error says nothing."""

_PAIRS_PER_BIN = 10
_BINS = 15


def ordering(
    rewards: NDArray[Any],
    logits: NDArray[Any],
    starts: ArrayLike,
    lengths: ArrayLike,
    targets: ArrayLike,
) -> dict[str, float]:
    """Figures of the order that a model gives to fresh pairs, by the monitor's names.

    Args:
        rewards: (K, pairs) each member's return of the first segment less the second's, normalised
            as the agent is paid.
        logits: (K, pairs) the same before normalisation: what the members are sure of.
        starts: (pairs, 2) first step of each segment within its episode.
        lengths: (pairs, 2) steps of each segment.
        targets: (pairs,) true probability that the first is better, 0.5 for a tie.
    """
    mean = rewards.mean(axis=0)
    order = 0.5 + 0.5 * np.sign(np.round(mean, 9))
    found = {
        "reward_model/clock_agreement": clock_accuracy(starts, lengths, order).strongest,
        **calibration_error(expit(logits).mean(axis=0), targets, "_fresh"),
    }
    if len(rewards) > 1:
        signs = np.sign(rewards)
        found["reward_model/member_agreement"] = float((signs == signs[0]).all(axis=0).mean())
    return found


def calibration_error(
    probabilities: ArrayLike, targets: ArrayLike, suffix: str = ""
) -> dict[str, float]:
    """Expected calibration error; nothing where there are too few pairs to tell.

    Few pairs go into few bins, or each bin's share would be mostly noise.

    Args:
        probabilities: (pairs,) predicted probability that the first is better.
        targets: (pairs,) observed: 1, 0, or 0.5 for a tie.
        suffix: of the figure's name.
    """
    count = len(np.asarray(targets))
    if count < LEAST_PAIRS:
        return {}
    bins = min(_BINS, count // _PAIRS_PER_BIN)
    error = expected_calibration_error(probabilities, targets, bins)
    return {f"reward_model/calibration_error{suffix}": error}

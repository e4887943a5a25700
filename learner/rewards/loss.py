"""The Bradley-Terry loss over pairs of segments, with its error floor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

_PRIOR_ANSWERS = 10.0  # answers that the configured floor counts for against a teacher's own
_NOISE_RANGE = (0.01, 1.98)  # never certain; from 1 on, more often wrong than right
_MOST_NOISE = 0.9  # of a crowd that looks wrong on the whole: then the model may be
_ROUNDS = 50


def preference_loss(difference: Tensor, targets: Tensor, floor: Tensor) -> Tensor:
    """Cross-entropy of answers under P_e = (1 - floor) P + floor / 2 (Ibarz 2018, A.3).

    In log space, so that it is exact for any difference; at floor 0.1 one pair costs at
    most -log 0.05.

    Args:
        difference: (pairs,) summed reward of the first segment minus that of the second.
        targets: (pairs,) in [0, 1]: 1 = first is better, 0.5 = tie.
        floor: (pairs,) share of the teacher's answers that are uniformly random, in (0, 2). Half
            of it is the share of wrong answers, so above 1 the teacher means the opposite.

    Returns:
        (pairs,) losses in nats.
    """
    # The same as eta P + (1 - eta) (1 - P) with eta = 1 - floor / 2 (Crowd-BT, Chen et al. 2013).
    wrong = torch.log(floor / 2)
    right = torch.log1p(-floor / 2)
    better, worse = logsigmoid(difference), logsigmoid(-difference)
    first = torch.logaddexp(right + better, wrong + worse)
    second = torch.logaddexp(right + worse, wrong + better)
    return -(targets * first + (1 - targets) * second)


def label_entropy_bound(targets: NDArray[np.floating[Any]]) -> float:
    """Least mean loss that any model can reach: tie share x ln 2 for hard answers (nats)."""
    sure = np.clip(targets.astype(np.float64), 1e-12, 1 - 1e-12)
    entropy = -(sure * np.log(sure) + (1 - sure) * np.log1p(-sure))
    return float(entropy.mean()) if len(targets) else 0.0


def teacher_noise(
    chosen: NDArray[np.floating[Any]],
    teachers: NDArray[np.integer[Any]],
    floors: NDArray[np.floating[Any]],
    prior: float,
) -> NDArray[np.float64]:
    """Maximum a posteriori floor per teacher, by expectation maximisation.

    Crowd-BT (Chen et al. 2013) with the reward model's returns as scores: each answer is what the
    model draws, or its opposite. `prior` counts as 10 answers, so that a teacher of few answers
    keeps it. Turning every teacher and the model over would explain the answers as well; so if
    most answers look wrong, nobody is taken to mean the opposite.

    Args:
        chosen: (answers,) probability P, without floor, of the answer given; held-out
            predictions, else an overfitted model finds every teacher perfect.
        teachers: (answers,) index of the teacher.
        floors: (teachers,) where to start.
        prior: the configured error floor.

    Returns:
        (teachers,) floors, within [0.01, 1.98]: twice the share of wrong answers.
    """
    noise = np.clip(floors.astype(np.float64), *_NOISE_RANGE)
    counts = np.bincount(teachers, minlength=len(noise))
    for _ in range(_ROUNDS):
        wrong = noise[teachers] / 2
        blame = wrong * (1 - chosen) / ((1 - wrong) * chosen + wrong * (1 - chosen))
        total = np.bincount(teachers, weights=blame, minlength=len(noise))
        noise = (2 * total + _PRIOR_ANSWERS * prior) / (counts + _PRIOR_ANSWERS)
        noise = np.clip(noise, *_NOISE_RANGE)
    if counts @ noise >= counts.sum():
        return np.minimum(noise, _MOST_NOISE)
    return noise

"""The share of random answers that the loss allows for, per label: configured, or learned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.preferences import LabelledPairs
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.loss import teacher_noise
from learner.rewards.report import Judged

SMALLEST_FLOOR = 1e-6  # log 0 has no gradient


def floors_of(ensemble: RewardEnsemble, labels: LabelledPairs) -> NDArray[np.float32]:
    """(P,) share of random answers that each label's loss allows for."""
    config = ensemble.config
    floors = np.full(len(labels), config.error_floor)
    if config.learn_teacher_noise:
        learned = ensemble.teacher_noise
        floors = np.array([learned.get(int(t), config.error_floor) for t in labels.teachers])
    return np.maximum(floors, SMALLEST_FLOOR).astype(np.float32)


def learn_floors(ensemble: RewardEnsemble, judged: Judged) -> None:
    """Update the floor of each teacher that gave decided answers among the held-out ones."""
    decided = judged.targets != 0.5
    asked = judged.held & decided
    members, pairs = np.nonzero(asked)
    if not len(pairs):
        return
    sign = np.where(judged.targets[pairs] > 0.5, 1.0, -1.0)
    chosen = 0.5 * (1 + np.tanh(sign * judged.difference[members, pairs] / 2))
    teachers, codes = np.unique(judged.teachers[pairs], return_inverse=True)
    prior = ensemble.config.error_floor
    start = np.array([ensemble.teacher_noise.get(int(t), prior) for t in teachers])
    floors = teacher_noise(chosen, codes, start, prior)
    ensemble.teacher_noise.update(zip(teachers.tolist(), floors.tolist(), strict=True))

from __future__ import annotations

import numpy as np
import pytest

from learner.evaluation.baselines import clock, flipped, length, shuffled_labels, zero

OBSERVATIONS = np.zeros((4, 8, 8, 3), np.uint8)
TIMES = np.array([5, 6, 7, 8])


def test_what_each_baseline_pays() -> None:
    assert length(OBSERVATIONS, TIMES).tolist() == [1, 1, 1, 1]
    assert clock(OBSERVATIONS, TIMES).tolist() == [5, 6, 7, 8]
    assert zero(OBSERVATIONS, TIMES).tolist() == [0, 0, 0, 0]
    assert flipped(clock)(OBSERVATIONS, TIMES).tolist() == [-5, -6, -7, -8]
    for reward in (length, clock, zero, flipped(clock)):
        assert reward(OBSERVATIONS, TIMES).dtype == np.float32


@pytest.mark.parametrize("targets", [np.ones(4000), np.tile([1.0, 0.0, 0.5, 1.0], 1000)])
def test_shuffled_labels_keep_ties_and_tell_nothing(targets: np.ndarray) -> None:
    shuffled = shuffled_labels(targets, np.random.default_rng(0))
    assert (shuffled == 0.5).sum() == (targets == 0.5).sum()
    assert set(shuffled.tolist()) <= {0.0, 0.5, 1.0}
    decided = (targets != 0.5) & (shuffled != 0.5)
    agree = (targets == shuffled)[decided].mean()
    assert abs(agree - 0.5) < 4 * 0.5 / np.sqrt(decided.sum())

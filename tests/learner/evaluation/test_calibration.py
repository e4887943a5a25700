from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from learner.evaluation.calibration import (
    brier,
    calibration,
    expected_calibration_error,
    joint_logits,
    label_entropy,
    nll,
    reliability,
    temperature,
)

pairs = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=60
).map(np.array)


def drawn(n: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from sigmoid(logits / sharpness)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=n) * 2 * sharpness
    return logits, (rng.random(n) < expit(logits / sharpness)).astype(float)


def test_a_model_that_is_right_in_its_shares_is_calibrated() -> None:
    # 0.8 for ten pairs, of which eight are right.
    p, y = np.full(10, 0.8), np.array([1.0] * 8 + [0.0] * 2)
    assert expected_calibration_error(p, y) == pytest.approx(0)
    assert brier(p, y) == pytest.approx(0.8 * 0.04 + 0.2 * 0.64)


def test_an_overconfident_model_is_off_by_its_excess() -> None:
    p, y = np.full(10, 0.9), np.array([1.0] * 6 + [0.0] * 4)
    assert expected_calibration_error(p, y) == pytest.approx(0.3)
    points = reliability(p, y)
    assert [(round(q.predicted, 9), round(q.observed, 9), q.count) for q in points] == [
        (0.1, 0.4, 10),
        (0.9, 0.6, 10),
    ]


def test_an_ensemble_claims_the_mean_of_its_members_probabilities() -> None:
    # 0.9 and 0.5 are 0.7 together; members that contradict each other are of no mind.
    assert expit(joint_logits([[math.log(9)], [0.0]])) == pytest.approx([0.7])
    assert joint_logits([[800.0, 3.0], [-800.0, -3.0]]) == pytest.approx([0.0, 0.0])
    one = np.array([[-900.0, -0.2, 0.0, 45.0]])
    assert joint_logits(one) == pytest.approx(one[0])


def test_a_coin_is_calibrated_however_the_labels_are_ordered() -> None:
    assert expected_calibration_error(np.full(40, 0.5), np.ones(40)) == 0


@settings(deadline=None)
@given(pairs, st.lists(st.booleans(), min_size=60, max_size=60))
def test_which_segment_comes_first_does_not_matter(rows: np.ndarray, flips: list[bool]) -> None:
    p, y = np.round(rows[:, 0], 6), rows[:, 1]
    turned = np.array(flips[: len(p)])
    q, z = np.where(turned, 1 - p, p), np.where(turned, 1 - y, y)
    assert expected_calibration_error(q, z) == pytest.approx(
        expected_calibration_error(p, y), abs=1e-9
    )
    assert brier(q, z) == pytest.approx(brier(p, y), abs=1e-9)


def test_bins_have_equal_mass() -> None:
    p = np.random.default_rng(1).random(3000)
    counts = [point.count for point in reliability(p, np.zeros(3000), bins=10)]
    assert sum(counts) == 6000
    assert max(counts) - min(counts) <= 2


def test_cross_entropy_of_known_logits() -> None:
    assert nll([0.0], [1.0]) == pytest.approx(math.log(2))
    assert nll([math.log(3)], [1.0]) == pytest.approx(-math.log(0.75))
    assert nll([1000.0, -1000.0], [1.0, 0.0]) == 0
    assert nll([-1000.0], [1.0]) == pytest.approx(1000)


def test_ties_bound_the_cross_entropy() -> None:
    targets = [1, 0, 0.5, 0.5, 1]
    assert label_entropy(targets) == pytest.approx(2 / 5 * math.log(2))
    best = [1000.0, -1000.0, 0.0, 0.0, 1000.0]
    assert nll(best, targets) == pytest.approx(label_entropy(targets))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_finds_how_much_too_sure_the_model_is(sharpness: float) -> None:
    logits, labels = drawn(20_000, sharpness)
    assert temperature(logits, labels) == pytest.approx(sharpness, rel=0.06)


def test_temperature_is_where_the_cross_entropy_is_least() -> None:
    logits, labels = drawn(500, 2.0)
    best = temperature(logits, labels)
    for other in (best * 0.99, best * 1.01):
        assert nll(logits / best, labels) < nll(logits / other, labels)


def test_all_figures_together() -> None:
    logits, labels = drawn(5000, 2.0)
    found = calibration(logits, labels, bins=10)
    assert found.n == 5000
    assert len(found.points) == 10
    assert found.ece == pytest.approx(expected_calibration_error(expit(logits), labels, 10))
    assert found.ece > 0.05
    assert found.nll_bound == 0
    assert found.nll_tempered < found.nll
    assert expected_calibration_error(expit(logits / found.temperature), labels, 10) < 0.03

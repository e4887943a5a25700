from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from learner.evaluation.accuracy import clock_accuracy, preference_accuracy, wilson


@settings(deadline=None)
@given(st.integers(1, 2000), st.data(), st.sampled_from([0.9, 0.95, 0.99]))
def test_wilson_is_scipys(n: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, n))
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson(successes, n, confidence) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


def test_wilson_at_textbook_values() -> None:
    # 81 of 263: Newcombe 1998, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(20, 20)[1] == 1
    assert wilson(0, 0) == (0, 1)


def test_ties_are_left_out_and_counted_and_a_guess_counts_half() -> None:
    accuracy = preference_accuracy([2.0, -1.0, 3.0, 0.0, 5.0], [1, 1, 0.5, 0, 1])
    assert accuracy.estimate.n == 4
    assert accuracy.ties == 1
    assert accuracy.estimate.value == (2 + 0.5) / 4
    assert (accuracy.estimate.low, accuracy.estimate.high) == wilson(2.5, 4)


def test_a_reward_that_is_always_zero_scores_one_half() -> None:
    assert preference_accuracy(np.zeros(10), np.ones(10)).estimate.value == 0.5


def test_without_decided_pairs_accuracy_is_not_defined() -> None:
    accuracy = preference_accuracy([1.0], [0.5])
    assert math.isnan(accuracy.estimate.value)
    assert accuracy.estimate.n == 0


def test_the_paper_atari_rule_is_won_by_a_clock() -> None:
    """T-REX's rule draws the better clip's start at or after the worse one's."""
    rng = np.random.default_rng(0)
    worse = rng.integers(0, 400, size=3000)
    better = rng.integers(worse, 401)
    starts = np.stack([better, worse], axis=1)
    clock = clock_accuracy(starts, np.full((3000, 2), 60), np.ones(3000))
    assert clock.start.estimate.value > 0.95
    assert clock.end.estimate.value == clock.start.estimate.value
    assert clock.length.estimate.value == 0.5
    assert clock.leaks
    assert clock.strongest == clock.start.estimate.value


def test_time_aligned_pairs_tell_a_clock_nothing() -> None:
    starts = np.repeat(np.arange(100)[:, None], 2, axis=1)
    clock = clock_accuracy(starts, np.full((100, 2), 25), np.arange(100) % 2)
    assert clock.strongest == 0.5
    assert not clock.leaks


def test_a_set_where_earlier_or_longer_wins_leaks_as_well() -> None:
    earlier = clock_accuracy([[0, 5]] * 10, [[25, 25]] * 10, np.ones(10))
    assert earlier.start.estimate.value == 0
    assert earlier.leaks
    longer = clock_accuracy([[5, 5]] * 10, [[9, 25]] * 10, np.zeros(10))
    assert longer.length.estimate.value == 1
    assert longer.leaks


def test_a_set_of_ties_has_no_clock() -> None:
    clock = clock_accuracy([[0, 5]], [[25, 25]], [0.5])
    assert clock.strongest == 0.5
    assert not clock.leaks


def test_pairs_that_share_episodes_count_as_no_more_than_the_episodes_can_tell() -> None:
    """A predictor without skill, one value per episode: 95 % intervals hold 0.5 often enough."""
    held = {"as if independent": 0, "by episodes": 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        first = rng.integers(100, size=1000)
        other = (first + rng.integers(1, 100, size=1000)) % 100
        predicted, solved = rng.normal(size=100), rng.random(100) < 0.4
        targets = 0.5 + 0.5 * (solved[first].astype(float) - solved[other])
        differences = predicted[first] - predicted[other]
        for name, episodes in (("as if independent", None), ("by episodes", 100)):
            found = preference_accuracy(differences, targets, episodes=episodes).estimate
            held[name] += found.low <= 0.5 <= found.high
    assert held["as if independent"] / 200 < 0.85
    assert held["by episodes"] / 200 >= 0.95

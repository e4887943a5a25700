from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from learner.evaluation.returns import (
    improvement_p_value,
    interquartile_mean,
    mean_over_runs,
    mean_return,
    ratio_over_runs,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_mean_and_its_bootstrap_interval() -> None:
    returns = np.random.default_rng(1).exponential(10, size=200)
    found = mean_return(returns, rng=rng(), resamples=5000)
    expected = scipy.stats.bootstrap(
        (returns,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert found.value == pytest.approx(returns.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.1)
    assert found.n == 200


def test_equal_returns_have_no_width_and_none_have_no_mean() -> None:
    found = mean_return([10.0] * 5, rng=rng())
    assert (found.value, found.low, found.high) == (10, 10, 10)
    assert math.isnan(mean_return([], rng=rng()).value)


def test_the_interval_over_a_few_runs_is_students() -> None:
    found = mean_over_runs([1.0, 2.0, 6.0])
    expected = scipy.stats.ttest_1samp([1.0, 2.0, 6.0], 0).confidence_interval(0.95)
    assert found.value == 3
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.high > 6, "a bootstrap never leaves the range of the runs"


def test_a_single_run_says_nothing_of_others() -> None:
    assert mean_over_runs([5.0]).low == -math.inf
    assert ratio_over_runs([5.0], [4.0]).value == 1.25
    assert ratio_over_runs([5.0], [4.0]).high == math.inf


@pytest.mark.parametrize("runs", [3, 5])
def test_intervals_over_few_runs_hold_what_they_are_to_hold(runs: int) -> None:
    """95 of 100, also where the two columns go up and down together."""
    draws = np.random.default_rng(0)
    held = np.zeros(3)
    for _ in range(1000):
        common = draws.normal(0, 100, runs)
        x = 900 + common + draws.normal(0, 50, runs)
        y = 1000 + common + draws.normal(0, 50, runs)
        mean, ratio = mean_over_runs(x), ratio_over_runs(x, y)
        resampled = mean_return(x, rng=draws, resamples=100)
        held += (
            mean.low <= 900 <= mean.high,
            ratio.low <= 0.9 <= ratio.high,
            (resampled.low <= 900 <= resampled.high),
        )
    assert (held[:2] / 1000 > 0.93).all(), held
    assert held[2] / 1000 < 0.88, "the bootstrap that was here before"


def test_pairing_narrows_a_ratio_whose_runs_go_together() -> None:
    y = np.array([800.0, 1000.0, 1200.0])
    assert ratio_over_runs(0.9 * y, y).high == pytest.approx(0.9)
    apart = ratio_over_runs(0.9 * y[::-1], y)
    assert apart.low < 0.7
    assert apart.high > 1.1


def test_a_base_that_may_be_nothing_bounds_no_ratio() -> None:
    found = ratio_over_runs([1.0, 2.0, 3.0], [-1.0, 0.5, 2.0])
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end() -> None:
    found = interquartile_mean([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 1000.0]], rng=rng())
    assert found.value == (2 + 3 + 4 + 5) / 4
    assert found.n == 8


def test_its_bootstrap_stays_within_each_task() -> None:
    """Tasks that differ a lot but whose runs agree: resampling runs moves nothing."""
    found = interquartile_mean([[0.1] * 3, [0.5] * 3, [0.6] * 3, [0.9] * 3], rng=rng())
    assert found.low == pytest.approx(found.value)
    assert found.high == pytest.approx(found.value)
    spread = interquartile_mean([[0.0, 0.2], [0.4, 0.6], [0.5, 0.7], [0.8, 1.0]], rng=rng())
    assert spread.low < spread.value < spread.high


def test_the_permutation_test_is_exact_for_few_returns() -> None:
    # The observed division is the best of 4! / (2! 2!) = 6.
    assert improvement_p_value([1.0, 2.0], [3.0, 4.0], rng=rng()) == pytest.approx(1 / 6)
    assert improvement_p_value([3.0, 4.0], [1.0, 2.0], rng=rng()) == 1


def test_an_improvement_is_significant_and_its_absence_is_not() -> None:
    source = np.random.default_rng(3)
    before = source.normal(size=50)
    assert improvement_p_value(before, before + 1, rng=rng()) < 0.001
    assert improvement_p_value(before, before - 1, rng=rng()) > 0.999


def test_p_values_are_even_when_nothing_changed() -> None:
    source = np.random.default_rng(4)
    values = [
        improvement_p_value(*source.normal(size=(2, 8)), rng=source, resamples=199)
        for _ in range(300)
    ]
    assert scipy.stats.kstest(values, "uniform").pvalue > 1e-4

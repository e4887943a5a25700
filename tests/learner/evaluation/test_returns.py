from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from learner.evaluation.returns import improvement_p_value, interquartile_mean, mean_return


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

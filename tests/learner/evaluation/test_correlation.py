from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from learner.evaluation.correlation import (
    partial_pearson,
    partial_spearman,
    pearson,
    return_correlations,
    spearman,
    time_correlation,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


columns = st.lists(
    st.tuples(st.integers(-5, 5), st.floats(-100, 100)), min_size=3, max_size=40
).map(np.array)


@settings(deadline=None)
@given(columns)
def test_pearson_and_spearman_are_scipys(rows: np.ndarray) -> None:
    x, y = rows[:, 0], rows[:, 1]
    assume(np.ptp(x) > 0)
    assume(np.ptp(y) > 1e-3)
    expected = scipy.stats.pearsonr(x, y).statistic
    assert pearson(x, y, rng=rng(), resamples=1).value == pytest.approx(expected, abs=1e-9)
    expected = scipy.stats.spearmanr(x, y).statistic
    assert spearman(x, y, rng=rng(), resamples=1).value == pytest.approx(expected, abs=1e-9)


def test_partial_spearman_is_the_correlation_of_rank_residuals() -> None:
    source = np.random.default_rng(4)
    given_, x = source.normal(size=(2, 200))
    y = x + 2 * given_ + source.normal(size=200)

    def residual(values: np.ndarray) -> np.ndarray:
        ranks, held = scipy.stats.rankdata(values), scipy.stats.rankdata(given_)
        fit = scipy.stats.linregress(held, ranks)
        return np.asarray(ranks - fit.slope * held - fit.intercept)

    expected = scipy.stats.pearsonr(residual(x), residual(y)).statistic
    found = partial_spearman(x, y, given_, rng=rng(), resamples=200)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.value < found.high


def test_partial_pearson_is_the_correlation_of_regression_residuals() -> None:
    source = np.random.default_rng(4)
    lengths = source.integers(10, 500, size=200).astype(float)
    predicted = 0.3 * lengths + 20 * source.normal(size=200)
    true = 0.1 * lengths + 0.2 * predicted + 20 * source.normal(size=200)
    design = np.stack([np.ones(200), lengths], axis=1)
    residuals = [
        column - design @ np.linalg.lstsq(design, column, rcond=None)[0]
        for column in (predicted, true)
    ]
    expected = scipy.stats.pearsonr(*residuals).statistic
    found = partial_pearson(predicted, true, lengths, rng=rng(), resamples=200)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.value < found.high
    every = return_correlations(predicted, true, lengths, 0.0, rng=rng(), resamples=200)
    assert every.pearson_given_length.value == pytest.approx(expected, abs=1e-12)
    # The reward's constant, which pairs of equal length leave free, moves it not at all.
    off = return_correlations(predicted - 7 * lengths, true, lengths, 0.0, rng=rng(), resamples=2)
    assert off.pearson_given_length.value == pytest.approx(expected, abs=1e-9)


def test_what_both_owe_to_length_is_gone_when_length_is_given() -> None:
    source = np.random.default_rng(1)
    lengths = source.integers(50, 1000, size=500)
    predicted = lengths + 100 * source.normal(size=500)
    true = lengths + 100 * source.normal(size=500)
    assert spearman(predicted, true, rng=rng()).low > 0.8
    held = partial_spearman(predicted, true, lengths, rng=rng())
    assert abs(held.value) < 4 / np.sqrt(500)
    assert held.low < 0.05


def test_a_constant_given_quantity_changes_nothing_and_a_function_of_it_is_undefined() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 30))
    plain = spearman(x, y, rng=rng(), resamples=50)
    assert partial_spearman(x, y, np.full(30, 7.1), rng=rng(), resamples=50) == plain
    assert math.isnan(partial_spearman(x**3, y, x, rng=rng(), resamples=50).value)
    straight = pearson(x, y, rng=rng(), resamples=50)
    assert partial_pearson(x, y, np.full(30, 7.1), rng=rng(), resamples=50) == straight
    assert math.isnan(partial_pearson(3 * x, y, x, rng=rng(), resamples=50).value)


def test_constants_have_no_correlation() -> None:
    estimate = pearson(np.full(10, 0.1), np.arange(10), rng=rng())
    assert all(math.isnan(part) for part in (estimate.value, estimate.low, estimate.high))
    assert estimate.n == 10
    assert math.isnan(spearman([1.0], [2.0], rng=rng()).value)


def test_the_interval_holds_the_true_correlation_about_95_times_in_100() -> None:
    source = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        x = source.normal(size=100)
        y = 0.6 * x + 0.8 * source.normal(size=100)
        estimate = pearson(x, y, rng=source, resamples=300)
        held += estimate.low <= 0.6 <= estimate.high
    assert 178 <= held <= 200  # 4 standard errors below 190


def test_equal_seeds_give_equal_intervals() -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 60))
    assert spearman(x, y, rng=rng()) == spearman(x, y, rng=rng())


def test_centring_takes_out_the_constant_that_pairs_leave_free() -> None:
    """A reward off by a constant: raw correlation follows the constant, centred does not."""
    source = np.random.default_rng(6)
    lengths = source.integers(10, 500, size=300)
    true = source.normal(size=300) * 5 - 0.02 * lengths
    lifted = true + 3.0 * lengths
    one = return_correlations(true, true, lengths, 0.0, rng=rng(), resamples=100)
    off = return_correlations(lifted, true, lengths, 3.0, rng=rng(), resamples=100)
    assert one.spearman.value == pytest.approx(1)
    assert off.spearman.value < 0
    assert off.spearman_centred.value == pytest.approx(1)
    assert off.pearson_centred.value == pytest.approx(1)
    assert off.spearman_length.value == one.spearman_length.value
    assert off.pearson_length.value == pytest.approx(scipy.stats.pearsonr(lengths, true).statistic)


def test_rewards_that_follow_the_clock() -> None:
    up, down, flat = np.arange(30.0), -np.arange(30.0), np.ones(30)
    found = time_correlation([up, up**2, down, flat])
    assert (found.median, found.n) == (1, 3)
    assert (found.lower_quartile, found.upper_quartile) == (0, 1)
    assert math.isnan(time_correlation([flat]).median)

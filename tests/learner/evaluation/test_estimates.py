from __future__ import annotations

import math

import numpy as np
import pytest

from learner.evaluation import estimates
from learner.evaluation.estimates import Estimate, bootstrap, quantiles


def test_the_bootstrap_of_a_mean_is_close_to_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap(
        lambda picks: values[picks].mean(axis=1), 400, rng=np.random.default_rng(1), resamples=4000
    )
    assert (found.value, found.n) == (values.mean(), 400)
    error = values.std() / 20
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=30)

    def interval() -> Estimate:
        return bootstrap(
            lambda picks: values[picks].mean(axis=1),
            30,
            rng=np.random.default_rng(1),
            resamples=100,
        )

    whole = interval()
    monkeypatch.setattr(estimates, "_BLOCK", 70)
    assert interval() == whole


def test_undefined_resamples_are_left_out() -> None:
    assert quantiles([np.nan, 1.0, 2.0, 3.0, np.nan], 0.5) == (1.5, 2.5)
    assert all(math.isnan(end) for end in quantiles([np.nan], 0.95))
    nothing = bootstrap(lambda picks: picks.mean(axis=1), 0, rng=np.random.default_rng(0))
    assert nothing.n == 0
    assert math.isnan(nothing.value)


def test_a_statistic_that_resampling_lifts_is_brought_back() -> None:
    """The number of different items shrinks in every resample: its interval must not exclude it."""
    values = np.arange(30)
    noise = np.random.default_rng(0).normal(size=30)

    def lifted(picks: np.ndarray) -> np.ndarray:
        repeats = 30 - np.array([len(set(row)) for row in values[picks].tolist()])
        return np.asarray(noise[picks].mean(axis=1) + 0.02 * repeats)

    found = bootstrap(lifted, 30, rng=np.random.default_rng(1), resamples=1000)
    resampled = lifted(np.random.default_rng(2).integers(30, size=(1000, 30)))
    low, high = quantiles(resampled, 0.95)
    # The plain interval is centred about 0.2 too high.
    assert (low + high) / 2 > found.value + 0.15
    assert found.low < low - 0.1

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.agreement import (
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    rating_counts,
    raw_agreement,
)

# Three coders, fifteen units, "." missing: Krippendorff's own example.
CODERS = """
. . . . . 3 4 1 2 1 1 3 3 . 3
1 . 2 1 3 3 4 3 . . . . . . .
. . 2 1 3 4 4 . 2 1 1 3 3 . 4
"""
RATINGS = np.array(
    [
        [math.nan if mark == "." else float(mark) for mark in line.split()]
        for line in CODERS.strip().splitlines()
    ]
)

# Ten items, five classes, fourteen raters: Fleiss 1971.
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("level", "expected"), [("nominal", 0.6914), ("ordinal", 0.8067), ("interval", 0.8108)]
)
def test_krippendorffs_example(level: str, expected: float) -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    found = krippendorff_alpha(
        rating_counts(RATINGS, values),
        values,
        level,  # type: ignore[arg-type]
        rng=rng(),
    )
    assert found.value == pytest.approx(expected, abs=5e-5)
    assert found.low < found.value < found.high <= 1
    assert found.n == 12


def test_cohens_kappa() -> None:
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
    assert cohen_kappa([[5, 0], [0, 5]]) == 1
    assert math.isnan(cohen_kappa([[10, 0], [0, 0]]))


def test_fleiss_kappa() -> None:
    assert fleiss_kappa(FLEISS) == pytest.approx(0.2099, abs=5e-5)
    assert math.isnan(fleiss_kappa([[3, 0], [3, 0]]))
    with pytest.raises(AssertionError, match="equally many"):
        fleiss_kappa([[2, 1], [1, 1]])


def test_alpha_is_close_to_fleiss_for_many_raters() -> None:
    """With equal numbers of raters nominal alpha differs from Fleiss' kappa by its small-sample
    correction alone: 1 - (1 - kappa)(1 - 1/ratings) in the limit of its expected agreement."""
    found = krippendorff_alpha(FLEISS, range(5), rng=rng(), resamples=10).value
    assert found == pytest.approx(1 - (1 - fleiss_kappa(FLEISS)) * (1 - 1 / FLEISS.sum()))


def test_raw_agreement_counts_pairs_of_raters() -> None:
    # 3 pairs of which 1 agrees, 1 pair that agrees, and a single rating that tells nothing.
    assert raw_agreement([[2, 1, 0], [0, 2, 0], [0, 0, 1]]) == pytest.approx(2 / 4)
    assert math.isnan(raw_agreement([[1, 0]]))


def test_answers_with_ties_as_intervals() -> None:
    """left, tie, right as -1, 0, 1: a tie is nearer to an answer than the opposite answer is."""
    values = [-1.0, 0.0, 1.0]
    near = rating_counts([[-1, -1, 1, 1, 0, 1], [-1, 0, 1, 0, 0, 1]], values)
    far = rating_counts([[-1, -1, 1, 1, 0, 1], [-1, 1, 1, -1, 0, 1]], values)
    for counts, better in ((near, True), (far, False)):
        interval = krippendorff_alpha(counts, values, "interval", rng=rng(), resamples=10).value
        nominal = krippendorff_alpha(counts, values, "nominal", rng=rng(), resamples=10).value
        assert (interval > nominal) is better


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_full_agreement_is_1_and_chance_is_about_0(seed: int) -> None:
    source = np.random.default_rng(seed)
    same = np.repeat(source.integers(3, size=(1, 50)), 3, axis=0)
    full = krippendorff_alpha(rating_counts(same, range(3)), range(3), rng=source, resamples=20)
    assert (full.value, full.low, full.high) == (1, 1, 1)
    random = source.integers(3, size=(3, 400))
    chance = krippendorff_alpha(rating_counts(random, range(3)), range(3), rng=source, resamples=5)
    assert abs(chance.value) < 0.15


def test_opposite_answers_are_worse_than_chance() -> None:
    opposite = rating_counts([[0, 1, 0, 1], [1, 0, 1, 0]], range(2))
    assert krippendorff_alpha(opposite, range(2), rng=rng()).value < -0.5


def test_where_nothing_is_repeated_or_varies_alpha_is_not_defined() -> None:
    alone = krippendorff_alpha([[1, 0], [0, 1]], range(2), rng=rng())
    assert (math.isnan(alone.value), alone.n) == (True, 0)
    flat = krippendorff_alpha([[2, 0], [3, 0]], range(2), rng=rng())
    assert math.isnan(flat.value)
    assert math.isnan(flat.low)
    assert flat.n == 2


def test_a_rating_that_is_none_of_the_values_is_refused() -> None:
    with pytest.raises(AssertionError, match="not among"):
        rating_counts([[7.0]], range(3))

from __future__ import annotations

import numpy as np
import pytest

from server.economics import Fitted, Judged, fit_curve, most_telling, outlook, worth
from server.models import Answer

LABELS = (20, 40, 60, 100, 150, 200, 300, 400)


def versions(limit: float, drop: float, exponent: float, noise: float = 0.0) -> list[Fitted]:
    rng = np.random.default_rng(0)
    return [
        Fitted(n, limit - drop * n**-exponent + noise * rng.standard_normal(), n // 3)
        for n in LABELS
    ]


def test_a_known_curve_is_found_again() -> None:
    curve = fit_curve(versions(0.9, 1.2, 0.5))
    assert curve is not None
    assert (curve.limit, curve.drop, curve.exponent) == pytest.approx((0.9, 1.2, 0.5), abs=1e-6)
    assert curve.at(400) == pytest.approx(0.84)


def test_the_next_hundred_labels_bring_what_the_curve_says() -> None:
    found = outlook(versions(0.9, 1.2, 0.5))
    assert found is not None
    assert found.now == pytest.approx(0.84)
    assert found.gain == pytest.approx(1.2 * (400**-0.5 - 500**-0.5))
    assert found.low <= found.gain <= found.high
    assert found.high - found.low < 1e-6  # there is no noise in it


def test_noise_widens_the_interval_and_does_not_move_it_far() -> None:
    found = outlook(versions(0.9, 1.2, 0.5, noise=0.02))
    assert found is not None
    assert found.high - found.low > 1e-3
    assert found.gain == pytest.approx(0.0063, abs=0.006)


def test_a_model_that_learns_nothing_is_promised_nothing() -> None:
    found = outlook([Fitted(n, 0.5, 30) for n in LABELS])
    assert found is not None
    assert found.gain == pytest.approx(0.0, abs=1e-9)


def test_a_curve_never_promises_more_than_everything() -> None:
    curve = fit_curve([Fitted(n, 0.5 + n / 900, 30) for n in LABELS])
    assert curve is not None
    assert 0.5 <= curve.at(10_000) <= 1.0


@pytest.mark.parametrize(
    "fits",
    [
        [],
        versions(0.9, 1.2, 0.5)[:4],
        [Fitted(100, 0.7, 30)] * 9,
        [Fitted(n, 0.7, 0) for n in LABELS],
    ],
)
def test_too_little_to_tell(fits: list[Fitted]) -> None:
    assert fit_curve(fits) is None
    assert outlook(fits) is None


def pair(number: int, strategy: str, predicted: float | None, answer: Answer) -> Judged:
    return Judged(number, strategy, predicted, answer)


JUDGED = [
    pair(1, "disagreement", 0.5, Answer.A),  # 1 bit
    pair(2, "disagreement", 0.25, Answer.A),  # 2 bits: a surprise
    pair(3, "disagreement", 0.25, Answer.B),  # 0.415 bits
    pair(4, "disagreement", 0.9, Answer.TIE),
    pair(5, "uniform", None, Answer.A),
    pair(6, "uniform", 0.0, Answer.A),  # 0 is taken for 1 in 1,000
]


def test_what_pairs_were_worth_by_strategy() -> None:
    first, second = worth(JUDGED)
    assert (first.strategy, first.answered, first.undecided) == ("disagreement", 4, 0.25)
    assert first.surprised == pytest.approx(1 / 3)
    assert first.bits == pytest.approx((1 + 2 + 0.41504) / 3, abs=1e-4)
    assert (second.strategy, second.answered, second.surprised) == ("uniform", 2, 1.0)
    assert worth([]) == []


def test_the_most_telling_answers_come_first() -> None:
    assert [one.query for one in most_telling(JUDGED, 3)] == [6, 2, 1]

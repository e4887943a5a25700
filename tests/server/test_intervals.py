from __future__ import annotations

import pytest

from server.intervals import wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (5, 10, 0.2366, 0.7634),  # worked by hand
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (7, 9, 0.4526, 0.9368),
    ],
)
def test_known_intervals(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-4)

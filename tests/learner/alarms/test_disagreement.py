from __future__ import annotations

import pytest

from learner.alarms.disagreement import check
from learner.alarms.history import History


@pytest.mark.parametrize(
    ("alpha", "high", "pairs", "rings"),
    [
        (0.1, 0.3, 30, True),
        (-0.2, 0.1, 20, True),
        (0.1, 0.6, 30, False),  # it may be no more than chance
        (0.1, 0.3, 19, False),
        (0.8, 0.9, 200, False),
    ],
)
def test_low_beyond_its_interval(alpha: float, high: float, pairs: float, rings: bool) -> None:
    named = {"alpha": alpha, "alpha_high": high, "alpha_pairs": pairs}
    curves = {f"preferences/{name}": [(1, value)] for name, value in named.items()}
    alarm = check(History(curves))
    assert (alarm is not None) is rings
    assert alarm is None or alarm.evidence == "people"

from __future__ import annotations

import pytest

from learner.alarms.history import History
from learner.alarms.negatives import check


@pytest.mark.parametrize(
    ("events", "asked", "covered", "rings"),
    [
        ([12, 9], 60, 0, True),
        ([500], 400, 3, True),
        ([500], 400, 4, False),
        ([12, 7], 60, 0, False),  # hardly any to be met
        ([500], 49, 0, False),  # there was no time yet
        ([0, 0], 60, 0, False),
    ],
)
def test_met_but_never_shown(events: list[int], asked: int, covered: int, rings: bool) -> None:
    curves = {
        "rollout/negative_rewards": [(i, float(count)) for i, count in enumerate(events)],
        "preferences/asked": [(1, float(asked))],
        "preferences/asked_negative": [(1, float(covered))],
    }
    assert (check(History(curves)) is not None) is rings

from __future__ import annotations

import pytest

from learner.alarms.history import History
from learner.alarms.ties import check


@pytest.mark.parametrize(
    ("share", "labels", "rings"),
    [(0.9, 200, True), (0.85, 40, True), (0.84, 200, False), (0.95, 39, False)],
)
def test_most_of_enough_answers(share: float, labels: float, rings: bool) -> None:
    curves = {"preferences/tie_share": [(1, share)], "preferences/total": [(1, labels)]}
    assert (check(History(curves)) is not None) is rings


def test_no_answers_are_no_alarm() -> None:
    assert check(History({"preferences/total": [(1, 0.0)]})) is None

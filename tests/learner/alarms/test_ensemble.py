from __future__ import annotations

import pytest

from learner.alarms.ensemble import check
from learner.alarms.history import History


@pytest.mark.parametrize(
    ("disagreement", "said"),
    [
        ([0.00008, 0.00005], "collapsed"),
        ([0.3, 0.4], "exploded"),
        ([0.02, 0.03], None),
        ([0.00005], None),
        ([0.02, 0.00005], None),
        ([0.0006, 0.0006], None),
    ],
)
def test_next_to_nothing_or_many_times_the_reward(
    disagreement: list[float], said: str | None
) -> None:
    curves = {"reward_model/disagreement": list(enumerate(disagreement))}
    alarm = check(History(curves, members=3, target_std=0.05))
    assert (alarm is None) if said is None else (alarm is not None and said in alarm.text)


def test_one_member_alone_cannot_disagree() -> None:
    curves = {"reward_model/disagreement": [(1, 0.0), (2, 0.0)]}
    assert check(History(curves, members=1)) is None


def test_the_scale_is_that_of_the_run() -> None:
    curves = {"reward_model/disagreement": [(1, 0.4), (2, 0.4)]}
    assert check(History(curves, target_std=1.0)) is None

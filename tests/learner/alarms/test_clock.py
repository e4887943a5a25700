from __future__ import annotations

import pytest

from learner.alarms.clock import check
from learner.alarms.history import History


def history(agreement: list[float], right: float | None) -> History:
    curves = {"reward_model/clock_agreement": list(enumerate(agreement))}
    if right is not None:
        curves["reward_model/clock_accuracy_fresh"] = [(0, right)]
    return History(curves)


@pytest.mark.parametrize(
    ("agreement", "right", "rings"),
    [
        ([0.97], 0.52, True),
        ([0.93, 0.96], 0.6, True),
        ([0.97], None, True),  # nothing is known of the true order
        ([0.97], 0.95, False),  # what is meant takes time: StarPilot, CartPole
        ([0.7, 0.96], 0.52, False),  # one fit of many
        ([0.62, 0.6], 0.52, False),
        ([], 0.5, False),
    ],
)
def test_a_clock_is_told_from_a_reward_that_takes_time(
    agreement: list[float], right: float | None, rings: bool
) -> None:
    assert (check(history(agreement, right)) is not None) is rings


def test_it_says_how_much_the_clock_explains() -> None:
    alarm = check(history([0.97], 0.52))
    assert alarm is not None
    assert "97%" in alarm.text
    assert "52%" in alarm.text

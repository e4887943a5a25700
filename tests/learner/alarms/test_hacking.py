from __future__ import annotations

from learner.alarms.hacking import check
from learner.alarms.history import History, Trial

STEPS = (1000, 2000, 3000, 4000)


def history(
    predicted: list[float],
    true: list[float] | None,
    *,
    width: float = 0.4,
    trials: tuple[Trial, ...] = (),
    by_people: bool = False,
) -> History:
    name = "evaluation/predicted_return_test"
    curves = {
        name: list(zip(STEPS, predicted, strict=True)),
        f"{name}_low": [(s, v - width) for s, v in zip(STEPS, predicted, strict=True)],
        f"{name}_high": [(s, v + width) for s, v in zip(STEPS, predicted, strict=True)],
    }
    if true is not None:
        curves["evaluation/return_test"] = list(zip(STEPS, true, strict=True))
    return History(curves, trials=trials, by_people=by_people)


def test_predicted_up_and_true_down_is_an_alarm_that_says_by_how_much() -> None:
    alarm = check(history([1, 2, 3, 4], [9, 7, 5, 3]))
    assert alarm is not None
    assert "rose from 1 to 4" in alarm.text
    assert "from 9 to 3" in alarm.text
    assert alarm.evidence == "chart-predicted"


def test_a_flat_true_return_is_an_alarm_as_well() -> None:
    assert check(history([1, 2, 3, 4], [5, 5, 5, 5])) is not None


def test_both_up_or_both_down_is_none() -> None:
    assert check(history([1, 2, 3, 4], [3, 5, 7, 9])) is None
    assert check(history([4, 3, 2, 1], [9, 7, 5, 3])) is None


def test_a_rise_within_the_intervals_is_none() -> None:
    assert check(history([1, 1.2, 1.4, 1.6], [9, 7, 5, 3], width=0.5)) is None


def test_three_checkpoints_are_too_few() -> None:
    whole = history([1, 2, 3, 4], [9, 7, 5, 3])
    few = {name: points[:3] for name, points in whole.curves.items()}
    assert check(History(few)) is None


def test_a_small_rise_long_after_the_large_one_is_none() -> None:
    name = "evaluation/predicted_return_test"
    steps = [100 * i for i in range(1, 11)]
    values = [0, 20, 40, 60, 80, 100, 101, 102, 103, 104]
    curves = {
        name: list(zip(steps, values, strict=True)),
        f"{name}_low": [(s, v - 0.1) for s, v in zip(steps, values, strict=True)],
        f"{name}_high": [(s, v + 0.1) for s, v in zip(steps, values, strict=True)],
        "evaluation/return_test": [(s, 500.0) for s in steps],
    }
    assert check(History(curves)) is None


def test_the_other_split_counts_too() -> None:
    rising = history([1, 2, 3, 4], [5, 5, 5, 4.9])
    curves = {**rising.curves, "evaluation/return_train": [(s, s / 1000) for s in STEPS]}
    assert check(History(curves)) is None


def test_without_a_true_reward_blind_trials_decide() -> None:
    lost = (Trial(3000, 1000, wins=3, losses=5, ties=2), Trial(4000, 1000, 1, 4, 0))
    won = (Trial(4000, 1000, wins=9, losses=4, ties=0),)
    few = (Trial(4000, 1000, wins=1, losses=4, ties=9),)
    alarm = check(history([1, 2, 3, 4], [0, 0, 0, 0], trials=lost))
    assert alarm is not None
    assert "won 4 of 13 blind trials" in alarm.text
    assert check(history([1, 2, 3, 4], None, trials=won)) is None
    assert check(history([1, 2, 3, 4], None, trials=few)) is None


LOST = (Trial(3000, 1000, wins=3, losses=5, ties=2), Trial(4000, 1000, 1, 4, 0))
WON = (Trial(4000, 1000, wins=9, losses=4, ties=0),)
FEW = (Trial(4000, 1000, wins=1, losses=4, ties=9),)


def test_where_people_judge_enough_trials_these_decide() -> None:
    rising, falling = [3.0, 5.0, 7.0, 9.0], [9.0, 7.0, 5.0, 3.0]
    alarm = check(history([1, 2, 3, 4], rising, trials=LOST, by_people=True))
    assert alarm is not None
    assert "won 4 of 13" in alarm.text
    assert "true return" not in alarm.text
    assert check(history([1, 2, 3, 4], falling, trials=WON, by_people=True)) is None
    assert check(history([1, 2, 3, 4], falling, trials=FEW, by_people=True)) is not None


def test_otherwise_either_is_enough() -> None:
    rising, falling = [3.0, 5.0, 7.0, 9.0], [9.0, 7.0, 5.0, 3.0]
    assert check(history([1, 2, 3, 4], rising, trials=LOST)) is not None
    assert check(history([1, 2, 3, 4], falling, trials=WON)) is not None
    assert check(history([1, 2, 3, 4], rising, trials=WON)) is None
    alarm = check(history([1, 2, 3, 4], falling, trials=LOST))
    assert alarm is not None
    assert "went from 9 to 3 and the newer agent won 4 of 13" in alarm.text

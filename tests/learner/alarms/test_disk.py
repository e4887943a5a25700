from __future__ import annotations

import pytest

from learner.alarms.disk import check
from learner.alarms.history import History


def history(free: list[float], percent: float, seconds: float = 60.0) -> History:
    return History(
        {
            "system/disk_free_gib": list(enumerate(free)),
            "system/disk_free_percent": [(0, percent)],
            "time/time_elapsed": [(i, i * seconds) for i in range(len(free))],
        }
    )


@pytest.mark.parametrize(
    ("free", "percent", "said"),
    [
        ([1.5], 20, "nearly full"),
        ([15.0], 2, "nearly full"),
        ([300.0], 2, None),
        ([40.0], 30, None),
        # 0.1 GiB a minute: 17 GiB last for under three hours
        ([20 - i / 10 for i in range(30)], 20, "full in 2.8 hours"),
        ([20 - i / 10 for i in range(29)], 20, None),  # too short a time to tell
        ([20 + i / 10 for i in range(30)], 20, None),
        ([2000 - i / 10 for i in range(30)], 20, None),
    ],
)
def test_little_left_or_going_fast(free: list[float], percent: float, said: str | None) -> None:
    alarm = check(history(free, percent))
    assert (alarm is None) if said is None else (alarm is not None and said in alarm.text)


def test_a_clock_that_stands_still_tells_no_rate() -> None:
    assert check(history([20 - i / 10 for i in range(30)], 20, seconds=0.0)) is None


def test_minutes_tell_nothing_of_hours() -> None:
    assert check(history([20 - i / 10 for i in range(30)], 20, seconds=0.5)) is None

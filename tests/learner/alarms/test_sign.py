from __future__ import annotations

import pytest

from learner.alarms.history import History
from learner.alarms.sign import check


@pytest.mark.parametrize(
    ("decided", "agreement", "heldout", "said"),
    [
        (3, 0.9, 0.8, "only 3 answers"),
        (200, 0.25, 0.5, "25% of fresh pairs"),
        (200, 0.25, 0.7, None),  # right, if not of one mind
        (200, 0.8, 0.5, None),
        (200, 0.8, 0.8, None),
    ],
)
def test_few_decided_answers_or_members_at_odds(
    decided: float, agreement: float, heldout: float, said: str | None
) -> None:
    curves = {
        "preferences/decided": [(1, decided)],
        "reward_model/member_agreement": [(i, agreement) for i in range(5)],
        "reward_model/accuracy_heldout": [(i, heldout) for i in range(5)],
    }
    alarm = check(History(curves))
    assert (alarm is None) if said is None else (alarm is not None and said in alarm.text)


def test_the_first_fits_are_waited_for() -> None:
    curves = {
        "preferences/decided": [(1, 2.0)],
        "reward_model/member_agreement": [(i, 0.2) for i in range(4)],
    }
    assert check(History(curves)) is None

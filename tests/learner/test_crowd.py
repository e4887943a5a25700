"""What is known of each teacher from all the rows of a run."""

from __future__ import annotations

import numpy as np
import pytest

from learner.crowd import trust
from learner.preferences import PreferenceRow

ACCURACIES = {10: 0.98, 20: 0.8, 30: 0.1}


def crowd(pairs: int, seed: int = 0) -> list[PreferenceRow]:
    """Everybody answers the same pairs of 20 segments; the higher number is better."""
    rng = np.random.default_rng(seed)
    rows: list[PreferenceRow] = []
    for query in range(pairs):
        first, second = rng.choice(20, 2, replace=False)
        for teacher, accuracy in ACCURACIES.items():
            better, worse = ("a", "b") if first > second else ("b", "a")
            answer = better if rng.random() < accuracy else worse
            rows.append(
                PreferenceRow(len(rows) + 1, query, teacher, int(first), int(second), answer)
            )
    return rows


def test_each_teacher_is_known_by_the_answers_of_the_others() -> None:
    found = trust(crowd(150), {})
    for teacher, accuracy in ACCURACIES.items():
        assert found[teacher].crowd_bt == pytest.approx(accuracy, abs=0.1)
        assert found[teacher].one_coin == pytest.approx(accuracy, abs=0.2)
        assert (found[teacher].learned, found[teacher].answers) == (None, 150)


def test_the_reward_models_own_estimate_is_handed_on_as_an_accuracy() -> None:
    assert trust(crowd(5), {20: 0.4})[20].learned == pytest.approx(0.8)


def test_who_shares_nothing_with_others_is_not_judged_by_them() -> None:
    rows = [
        PreferenceRow(1, 1, 10, 1, 2, "a"),
        PreferenceRow(2, 1, 20, 1, 2, "a"),
        PreferenceRow(3, 2, 30, 2, 3, "a"),  # one segment in common, no pair
        PreferenceRow(4, 3, 40, 8, 9, "a"),
    ]
    found = trust(rows, {})
    known = {
        teacher: (one.one_coin is not None, one.crowd_bt is not None)
        for teacher, one in found.items()
    }
    assert known == {
        10: (True, True),
        20: (True, True),
        30: (False, True),
        40: (False, False),
    }


def test_only_first_decided_answers_that_count_tell_anything() -> None:
    rows = [
        PreferenceRow(1, 1, 10, 1, 2, "tie"),
        PreferenceRow(2, 2, 10, 1, 3, "incomparable"),
        PreferenceRow(3, 3, 10, 1, 4, "a"),
        PreferenceRow(4, 3, 10, 1, 4, "withdrawn", replaces=3),
        PreferenceRow(5, 4, 10, 1, 5, "a", purpose="repeat"),
        PreferenceRow(6, 5, 10, 1, 6, "a", purpose="practice"),
    ]
    assert trust(rows, {}) == {}
    assert trust([*rows, PreferenceRow(7, 6, 10, 1, 7, "a", purpose="gold")], {})[10].answers == 1

"""The order of segments by what a reward model makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.extremes import SHOWN, find_extremes, preferred
from server.models import Answer, TeacherKind
from server.store.explorations import Decided


def scores(*rewards: float | None, **changes: Any) -> bytes:
    segments = [
        {"id": number, "reward": reward, "spread": 0.1 * number, "returns": [reward, reward]}
        for number, reward in enumerate(rewards, 1)
    ]
    return json.dumps({"of": len(rewards), "fps": 15, "segments": segments} | changes).encode()


def answered(query: int, a: int, b: int, answer: Answer) -> Decided:
    return Decided(query, a, b, answer, TeacherKind.PERSON)


def test_ends_of_the_order_come_first_and_what_has_no_number_is_left_out() -> None:
    found = find_extremes(scores(0.5, -2.0, None, 3.0), [])
    assert [one.segment for one in found.most] == [4, 1, 2]
    assert [one.segment for one in found.least] == [2, 1, 4]
    assert [one.segment for one in found.uncertain] == [4, 2, 1]
    assert (found.looked_at, found.of, found.fps) == (4, 4, 15)
    many = find_extremes(scores(*range(3 * SHOWN)), [])
    assert len(many.most) == len(many.least) == SHOWN


def test_answers_that_the_model_finds_unlikely_the_least_likely_first() -> None:
    decided = [
        answered(1, 1, 2, Answer.A),  # as the model says
        answered(2, 1, 2, Answer.B),
        answered(3, 3, 1, Answer.A),
        answered(2, 1, 2, Answer.B),  # another teacher, the same pair
        answered(4, 1, 99, Answer.B),  # not scored
    ]
    found = find_extremes(scores(0.5, 0.0, -5.0), decided).differing
    assert [one.pair.query for one in found] == [3, 2]
    assert found[1].chance == pytest.approx(1 - preferred([0.5], [0.0]))


def test_members_are_averaged_after_the_comparison() -> None:
    assert preferred([0.0, 0.0], [0.0, 0.0]) == 0.5
    assert preferred([900.0], [-900.0]) == 1.0
    assert preferred([1.0, -9.0], [0.0, 0.0]) == pytest.approx((0.731 + 0.0) / 2, abs=1e-3)

"""Readings of rewards along steps, with values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from learner.study.regression.cases import Case, Fitted, Source
from learner.study.regression.config import ModelVariant
from learner.study.regression.screens import reading, score_shares, striking, trace
from learner.study.regression.transitions import Transitions

CASE = Case("ALE/Breakout-v5", 0)


def fitted(**variant: bool) -> Fitted:
    return Fitted(CASE, ModelVariant(name="some", **variant), Source(CASE, "newest", True))


class Brightness:
    """Predicts how bright the newest frame is, in 0-1."""

    def rewards(self, before: np.ndarray | None, after: np.ndarray) -> np.ndarray:
        return (after[..., -1].mean(axis=(1, 2)) / 255).astype(np.float32)


def steps(levels: list[int], rewards: list[float]) -> Transitions:
    frames = np.zeros((len(levels), 84, 84, 4), np.uint8)
    frames += np.array(levels, np.uint8)[:, None, None, None]
    return Transitions(None, frames, np.array(rewards, np.float32))


def test_pay_for_unrewarded_steps_is_told_apart():
    predicted = np.array([1.0, 0.5, 0.25, 0.0, -0.25], np.float32)
    true = np.array([1.0, 0.0, 0.0, 0.0, 0.0], np.float32)

    found = reading(predicted, true, policy="trained", score=True)

    assert found.rewarded_share == pytest.approx(0.2)
    assert found.rewarded == 1.0
    assert found.unrewarded == pytest.approx(0.125)
    assert found.misplaced == pytest.approx(0.5)  # 0.5 + 0.25 + 0.25 of 2
    assert found.error == pytest.approx((0.25 + 2 * 0.0625) / 5)
    assert found.ranked == 1.0


def test_a_reward_that_is_the_same_everywhere_ranks_nothing():
    found = reading(np.ones(4, np.float32), np.array([1, 0, 0, 0], np.float32),
                    policy="trained", score=True)  # fmt: skip
    assert found.ranked == 0.5


def test_steps_without_any_reward_have_no_figure_for_rewarded_ones():
    found = reading(np.ones(3, np.float32), np.zeros(3, np.float32), policy="untrained", score=True)
    assert math.isnan(found.rewarded)
    assert found.misplaced == 1.0


def test_a_trace_follows_the_environment_with_most_rewards():
    """Two environments side by side: the second one's steps are the odd ones."""
    levels = [10, 200, 20, 210, 30, 220]
    found = trace(steps(levels, [0, 1, 0, 1, 1, 0]), Brightness(), fitted(), environments=2)

    assert found.true.tolist() == [1.0, 1.0, 0.0]
    assert found.predicted["the score in sight"] == pytest.approx([200 / 255, 210 / 255, 220 / 255])
    assert (found.predicted["the score black"] < found.predicted["the score in sight"]).all()


def test_a_reward_learned_without_the_score_is_never_shown_it():
    found = trace(steps([9] * 4, [0, 0, 1, 0]), Brightness(), fitted(masked=True), environments=1)
    assert list(found.predicted) == ["the score black"]


def test_frames_shown_are_the_best_rewarded_and_the_worst_mistakes():
    test = steps([50, 60, 70, 80, 90, 100], [1, 0, 1, 1, 0, 0])
    found = striking(test, Brightness(), fitted())
    assert found.rewards.tolist() == [1, 1, 0, 0]
    assert [int(frame[0, 0, 0]) for frame in found.after] == [80, 70, 100, 90]


def test_shares_of_the_score_add_up_to_all_where_only_it_is_read():
    picture = np.zeros((84, 84), np.float32)
    picture[2, 20] = 3.0  # within Breakout's
    elsewhere = np.ones((84, 84), np.float32)

    found = score_shares([{"gradient": picture, "occlusion": elsewhere}], CASE.game)

    assert found["gradient"] == 1.0
    assert found["occlusion"] == pytest.approx(found["area"]) == pytest.approx(6 * 25 / 84**2)

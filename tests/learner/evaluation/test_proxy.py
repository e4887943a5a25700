from __future__ import annotations

import math

import numpy as np
import pytest

from learner.evaluation.epic import pearson_distance
from learner.evaluation.proxy import dard_proxy

GAMMA = 0.5


def drawn(seed: int, lengths: tuple[int, ...] = (9, 5, 7, 3)) -> list[np.ndarray]:
    source = np.random.default_rng(seed)
    return [source.normal(size=steps) for steps in lengths]


def by_hand(rewards: list[np.ndarray]) -> list[float]:
    """C(t) = R(t) - m(t) + g (R(t+1) - m(t+1)), m the mean over the *other* episodes."""
    values = []
    for number, own in enumerate(rewards):
        others = [one for place, one in enumerate(rewards) if place != number]
        for t in range(len(own) - 1):
            now, then = ([one[s] for one in others if len(one) > s] for s in (t, t + 1))
            if now and then:
                values.append(
                    own[t] - float(np.mean(now)) + GAMMA * (own[t + 1] - float(np.mean(then)))
                )
    return values


def test_it_is_the_definition_worked_out_step_by_step() -> None:
    predicted, true = drawn(0), drawn(1)
    assert len(by_hand(true)) == 6 + 4 + 6 + 2  # the longest goes on alone after 7 steps
    expected = pearson_distance(by_hand(predicted), by_hand(true))
    assert dard_proxy(predicted, true, gamma=GAMMA) == pytest.approx(expected)


def test_two_episodes_are_each_measured_by_the_other() -> None:
    # 3, 1 beside 1, 1: the excess is 2, 0 and -2, 0; of 1, 5 beside 1, 1 it is 0, 4 and 0, -4.
    predicted = [np.array([3.0, 1.0]), np.array([1.0, 1.0])]
    true = [np.array([1.0, 5.0]), np.array([1.0, 1.0])]
    assert dard_proxy(predicted, true, gamma=GAMMA) == pytest.approx(0)
    turned = [-one for one in true]
    assert dard_proxy(predicted, turned, gamma=GAMMA) == pytest.approx(1)


def test_a_scale_changes_nothing_and_a_constant_or_a_clock_leaves_nothing() -> None:
    rewards = drawn(2)
    assert dard_proxy([3 * one for one in rewards], rewards, gamma=GAMMA) == pytest.approx(0)
    for empty in ([one * 0 + 0.7 for one in rewards], [0.1 * np.arange(len(o)) for o in rewards]):
        assert math.isnan(dard_proxy(empty, rewards, gamma=GAMMA))


def test_one_episode_has_no_others() -> None:
    assert math.isnan(dard_proxy([np.arange(5.0)], [np.arange(5.0)], gamma=GAMMA))

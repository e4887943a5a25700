from __future__ import annotations

import math

import numpy as np
import pytest

from learner.evaluation.events import event_means


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_mean_around_an_event_is_that_of_its_steps_less_the_quiet_ones() -> None:
    predicted = [np.array([1.0, 1.0, 5.0, 9.0, 1.0, 1.0, 1.0]), np.full(4, 1.0)]
    true = [np.array([0.0, 0, 0, 2, 0, 0, 0]), np.array([2.0, 0, 0, 0])]
    (found,) = event_means(predicted, true, 1, rng(), 50)
    assert (found["reward"], found["count"], found["episodes"]) == (2.0, 2, 2)
    # Before it: 4 of one episode, nothing of the other, which begins with the event.
    assert found["mean"] == pytest.approx([4.0, (8.0 + 0.0) / 2, 0.0])


def test_many_events_of_few_episodes_do_not_make_a_band_narrow() -> None:
    """Every episode has its own level of reward at events; 40 events of each tell nothing more."""
    source, covered, together = np.random.default_rng(1), 0, 0
    for _ in range(100):
        predicted, true = [], []
        for level in source.normal(size=20):
            paid = np.zeros(400)
            paid[5:400:10] = 1.0
            true.append(paid)
            predicted.append(np.where(paid > 0, level, 0.0) + 0.01 * source.normal(size=400))
        (found,) = event_means(predicted, true, 1, source, 200)
        assert (found["count"], found["episodes"]) == (800, 20)
        covered += found["low"][1] <= 0.0 <= found["high"][1]
        together += found["high"][1] - found["low"][1] > 2 * 1.5 / math.sqrt(20)
    assert covered >= 85  # of 95 expected, 20 episodes being few
    assert together >= 80


def test_of_one_episode_there_is_a_mean_and_no_band() -> None:
    (found,) = event_means([np.arange(5.0)], [np.array([0, 1.0, 1, 0, 0])], 0, rng(), 20)
    assert (found["count"], found["episodes"]) == (2, 1)
    assert math.isnan(found["low"][0])
    assert math.isnan(found["high"][0])

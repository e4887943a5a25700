from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.evaluation.epic import (
    Transitions,
    canonical_sample,
    canonical_table,
    epic_sample,
    epic_table,
    pearson_distance,
)

STATES, ACTIONS, GAMMA = 12, 4, 0.9


def table(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(STATES, ACTIONS, STATES))


def weights(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(size))


def distance(first: np.ndarray, second: np.ndarray, coverage: np.ndarray | None = None) -> float:
    return epic_table(
        first,
        second,
        GAMMA,
        state_weights=weights(1, STATES),
        action_weights=weights(2, ACTIONS),
        coverage=coverage,
    )


def shaped(reward: np.ndarray, potential: np.ndarray, scale: float, constant: float) -> np.ndarray:
    return scale * reward + constant + GAMMA * potential[None, None, :] - potential[:, None, None]


@given(st.integers(0, 99), st.floats(0.01, 100), st.floats(-50, 50), st.floats(0, 100))
@settings(max_examples=40, deadline=None)
def test_shaping_scale_and_constant_are_no_difference(
    seed: int, scale: float, constant: float, size: float
) -> None:
    reward = table(seed)
    potential = size * np.random.default_rng(seed + 1).normal(size=STATES)
    assert distance(reward, shaped(reward, potential, scale, constant)) < 1e-6


def test_a_reward_is_as_far_as_can_be_from_its_negative() -> None:
    reward = table(0)
    assert distance(reward, shaped(-reward, np.arange(STATES), 3.0, 1.0)) == pytest.approx(1)


def test_noise_is_at_half_the_square_root_of_two() -> None:
    rng = np.random.default_rng(0)
    big = rng.normal(size=(2, 40, 10, 40))
    found = epic_table(*big, GAMMA, state_weights=np.ones(40), action_weights=np.ones(10))
    assert found == pytest.approx(math.sqrt(0.5), abs=0.02)


@given(st.integers(0, 30), st.integers(31, 60), st.integers(61, 90))
@settings(max_examples=25, deadline=None)
def test_it_is_a_pseudometric(a: int, b: int, c: int) -> None:
    x, y, z = table(a), table(b), table(c)
    assert distance(x, y) == pytest.approx(distance(y, x))
    assert distance(x, z) <= distance(x, y) + distance(y, z) + 1e-12


def test_canonical_shaping_by_hand() -> None:
    """Two states, one action, R = 1 on entering state 1 from state 0."""
    reward = np.zeros((2, 1, 2))
    reward[0, 0, 1] = 1.0
    # m = (1/2, 0), M = 1/4; C = R + m(s') / 2 - m(s) - M / 2.
    found = canonical_table(reward, 0.5, [1, 1], [1])
    assert found[:, 0, :] == pytest.approx(
        np.array([[0.25 - 0.5 - 0.125, 1 - 0.5 - 0.125], [0.25 - 0.125, -0.125]])
    )


def test_coverage_decides_which_transitions_count() -> None:
    reward, other = table(0), table(1)
    coverage = np.zeros_like(reward)
    coverage[:3] = 1.0
    same = reward.copy()
    same[3:] = other[3:]
    assert distance(reward, same) > 0.1
    x, y = (
        canonical_table(r, GAMMA, weights(1, STATES), weights(2, ACTIONS))[:3].ravel()
        for r in (reward, same)
    )
    assert distance(reward, same, coverage) == pytest.approx(
        math.sqrt((1 - np.corrcoef(x, y)[0, 1]) / 2)
    )


def test_pearson_distance_at_known_correlations() -> None:
    assert pearson_distance([1, 2, 3], [10, 20, 30]) == pytest.approx(0, abs=1e-12)
    assert pearson_distance([1, 2, 3], [3, 2, 1]) == pytest.approx(1)
    assert pearson_distance([1, -1, 1, -1], [1, 1, -1, -1]) == pytest.approx(math.sqrt(0.5))
    assert math.isnan(pearson_distance([0.1, 0.1, 0.1], [1, 2, 3]))
    # Repeating an item is the same as weighing it twice.
    assert pearson_distance([1, 2, 4], [1, 3, 2], [2, 1, 1]) == pytest.approx(
        pearson_distance([1, 1, 2, 4], [1, 1, 3, 2])
    )


def lookup(reward: np.ndarray) -> Any:
    def scored(states: np.ndarray, actions: np.ndarray, next_states: np.ndarray) -> np.ndarray:
        return np.asarray(reward[states, actions, next_states])

    return scored


def sample(n: int, pairs: int, seed: int) -> tuple[Transitions, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    states, actions = weights(1, STATES), weights(2, ACTIONS)
    batch = Transitions(
        rng.choice(STATES, n, p=states),
        rng.choice(ACTIONS, n, p=actions),
        rng.choice(STATES, n, p=states),
    )
    return batch, rng.choice(ACTIONS, pairs, p=actions), rng.choice(STATES, pairs, p=states)


@pytest.mark.parametrize("mix", [0.0, 0.3, 0.8])
def test_the_sampled_distance_is_close_to_the_exact_one(mix: float) -> None:
    first = table(3)
    second = (1 - mix) * shaped(first, 5 * np.arange(STATES), 2.0, 1.0) + mix * 2 * table(4)
    batch, actions, next_states = sample(8192, 4096, seed=5)
    found = epic_sample(
        lookup(first),
        lookup(second),
        batch,
        actions=actions,
        next_states=next_states,
        gamma=GAMMA,
        rng=np.random.default_rng(6),
        resamples=200,
    )
    assert found.value == pytest.approx(distance(first, second), abs=0.02)
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 0.03


def test_shaping_vanishes_from_samples_however_few() -> None:
    reward = table(7)
    batch, actions, next_states = sample(50, 7, seed=8)
    other = shaped(reward, np.arange(STATES) ** 2.0, 1.0, 0.0)
    assert canonical_sample(lookup(other), batch, actions, next_states, GAMMA) == pytest.approx(
        canonical_sample(lookup(reward), batch, actions, next_states, GAMMA)
    )


def test_a_reward_of_the_state_alone_leaves_the_next_state() -> None:
    """R(o) has the canonical form gamma (R(s') - mean R): methods of T-REX and Ibarz."""
    value = np.random.default_rng(9).normal(size=STATES)
    batch, actions, next_states = sample(100, 20, seed=10)
    found = canonical_sample(lambda states, a, t: value[states], batch, actions, next_states, GAMMA)
    expected = GAMMA * (value[batch.next_states] - value[next_states].mean())
    assert found == pytest.approx(expected)


def test_images_are_states_and_equal_ones_are_scored_once() -> None:
    rng = np.random.default_rng(11)
    images = rng.integers(0, 255, size=(5, 8, 8, 3), dtype=np.uint8)
    scored = 0

    def brightness(states: np.ndarray, actions: np.ndarray, next_states: np.ndarray) -> np.ndarray:
        nonlocal scored
        scored += len(states)
        return np.asarray(states.mean(axis=(1, 2, 3)) * (actions + 1))

    picks, nexts = rng.integers(5, size=(2, 60))
    batch = Transitions(images[picks], rng.integers(3, size=60), images[nexts])
    pairs = rng.integers(3, size=16), images[rng.integers(5, size=16)]
    found = canonical_sample(brightness, batch, *pairs, GAMMA)
    assert found.shape == (60,)
    assert scored == 60 + 5 * 16


def test_a_constant_reward_has_no_distance() -> None:
    assert math.isnan(distance(np.full((STATES, ACTIONS, STATES), 0.3), table(0)))

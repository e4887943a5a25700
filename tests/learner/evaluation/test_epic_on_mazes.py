"""EPIC where everything is known: the sampled estimator beside the exact value."""

from __future__ import annotations

import numpy as np
import pytest

from learner.envs.maze import MOVES, Maze
from learner.evaluation.epic import Transitions, epic_sample, epic_table

GAMMA = 0.99
MAZE = Maze(9)
CELLS, ACTIONS = MAZE.cells, len(MOVES)
EVEN_CELLS, EVEN_ACTIONS = np.ones(CELLS), np.ones(ACTIONS)
TRUE = MAZE.rewards((MAZE.corners[1],))


def coverage() -> np.ndarray:
    """Every cell and action equally often, followed by where it leads."""
    where = np.zeros((CELLS, ACTIONS, CELLS))
    leads = MAZE.transitions()
    where[np.arange(CELLS)[:, None], np.arange(ACTIONS), leads] = 1 / (CELLS * ACTIONS)
    return where


def shaped(table: np.ndarray, seed: int) -> np.ndarray:
    potential = np.random.default_rng(seed).normal(size=CELLS)
    return table + GAMMA * potential[None, None, :] - potential[:, None, None]


def exact(first: np.ndarray, second: np.ndarray) -> float:
    return epic_table(
        first,
        second,
        GAMMA,
        state_weights=EVEN_CELLS,
        action_weights=EVEN_ACTIONS,
        coverage=coverage(),
    )


def sampled(first: np.ndarray, second: np.ndarray, count: int = 2**17) -> float:
    """From transitions drawn as `coverage` says; one in 80 ends on a goal, so many are needed."""
    rng = np.random.default_rng(1)
    states, actions = rng.integers(CELLS, size=count), rng.integers(ACTIONS, size=count)
    batch = Transitions(states, actions, MAZE.transitions()[states, actions])
    return epic_sample(
        lambda s, a, t: first[s, a, t],
        lambda s, a, t: second[s, a, t],
        batch,
        actions=rng.integers(ACTIONS, size=4096),
        next_states=rng.integers(CELLS, size=4096),
        gamma=GAMMA,
        rng=rng,
        resamples=20,
    ).value


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=TRUE.shape)


OTHERS = {
    "the other corner": MAZE.rewards((MAZE.corners[0],)),
    "itself with noise": TRUE + 0.05 * noise(1),
    "its negative, shaped": shaped(-TRUE, 2),
}


def test_shaping_and_scale_change_nothing():
    assert exact(TRUE, shaped(3.5 * TRUE, 0)) == pytest.approx(0.0, abs=1e-6)
    assert sampled(TRUE, shaped(3.5 * TRUE, 0), 512) == pytest.approx(0.0, abs=1e-6)


def test_the_negative_is_as_far_as_can_be():
    assert exact(TRUE, -TRUE) == pytest.approx(1.0, abs=1e-6)


def test_noise_is_uncorrelated():
    distances = [exact(noise(seed), noise(seed + 100)) for seed in range(20)]
    assert np.mean(distances) == pytest.approx(np.sqrt(0.5), abs=0.02)


@pytest.mark.parametrize("name", OTHERS)
def test_the_sampled_estimate_is_within_a_fiftieth_of_the_exact_value(name):
    assert sampled(TRUE, OTHERS[name]) == pytest.approx(exact(TRUE, OTHERS[name]), abs=0.02)

from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest

from learner.config import RewardConfig
from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.rewards.ensemble import RewardEnsemble

VECTORS = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
IMAGES = gym.spaces.Box(0, 255, (43, 43, 3), np.uint8)
ACTIONS = gym.spaces.Discrete(4)


@pytest.fixture
def config() -> Callable[..., RewardConfig]:
    def make(**changes: object) -> RewardConfig:
        plain = {
            "network": "mlp",
            "hidden": (16, 16),
            "members": 2,
            "dropout": 0.0,
            "input_noise": 0.0,
            "learning_rate": 3e-3,
            "initial_max_batches": 150,
            "max_batches": 20,
        }
        return RewardConfig.model_validate(plain | changes)

    return make


@pytest.fixture
def ensemble() -> Callable[..., RewardEnsemble]:
    def make(config: RewardConfig, *, image: bool = False, seed: int = 1) -> RewardEnsemble:
        return RewardEnsemble(IMAGES if image else VECTORS, ACTIONS, config, seed)

    return make


@pytest.fixture
def vectors() -> Callable[..., LabelledPairs]:
    """Pairs of vector segments; the true reward of a step is its first number."""

    def make(
        count: int = 80, *, length: int = 5, answer: str | None = None, per_episode: int = 2
    ) -> LabelledPairs:
        rng = np.random.default_rng(7)
        store = SegmentStore(length)
        rows = []
        for pair in range(count):
            segments = rng.normal(size=(2, length, 3)).astype(np.float32)
            for side in (0, 1):
                actions = rng.integers(4, size=length)
                key = 2 * pair + side
                store.add(key, segments[side], actions, f"episode {key // per_episode}")
            first, second = segments[..., 0].sum(axis=1)
            given = answer or ("a" if first > second else "b")
            rows.append(PreferenceRow(pair, pair, 1, 2 * pair, 2 * pair + 1, given))
        return labelled_pairs(rows, store)

    return make


@pytest.fixture
def pictures() -> LabelledPairs:
    """Pairs of 43x43x3 segments; the one with more red steps is better."""
    rng = np.random.default_rng(7)
    store = SegmentStore(3)
    rows = []
    for pair in range(12):
        red = rng.permutation(4)[:2]
        for side in (0, 1):
            frames = rng.integers(0, 100, (3, 43, 43, 3), dtype=np.uint8)
            frames[: red[side], 10:30, 10:30, 0] = 255
            store.add(2 * pair + side, frames, np.zeros(3, dtype=np.int64), f"e{pair}")
        rows.append(
            PreferenceRow(pair, pair, 1, 2 * pair, 2 * pair + 1, "a" if red[0] > red[1] else "b")
        )
    return labelled_pairs(rows, store)

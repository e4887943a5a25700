"""Saliency of reward ensembles: units, sanity checks, and how long it takes."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from gymnasium import spaces

from learner.config import RewardConfig
from learner.rewards.ensemble import RewardEnsemble
from learner.saliency import METHODS, Method, NoPictures, maps

SIDE = 64
PICTURES = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
ACTIONS = spaces.Discrete(15)


def ensemble(seed: int = 0, **changes: object) -> RewardEnsemble:
    return RewardEnsemble(PICTURES, ACTIONS, RewardConfig(**changes), seed)


def frame(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_covers_the_frame_and_leaves_the_model_alone(method: Method) -> None:
    model, seen = ensemble(members=2), frame()
    before = model.rewards(seen)

    found = maps(model, seen, None, method)

    assert (found.shape, found.dtype) == ((SIDE, SIDE), np.float32)
    assert np.abs(found).max() > 0
    assert model.rewards(seen) == before
    assert all(weight.grad is None for weight in model.networks[0].parameters())


def test_integrated_gradients_sum_to_the_reward_over_a_black_frame() -> None:
    model, seen = ensemble(members=2), frame()
    # Members are scaled before they are averaged: a different scale each.
    model.calibrate(np.array([[[0.0, 1.0]], [[0.0, 30.0]]], np.float32), np.ones((1, 2), bool),
                    centred=True)  # fmt: skip

    found = maps(model, seen, None, "integrated_gradients")

    difference = model.rewards(seen) - model.rewards(np.zeros_like(seen))
    # The quadrature misses where on the way a unit with a kink turns on.
    assert found.sum() == pytest.approx(float(difference), abs=0.01 * np.abs(found).sum())


def test_a_model_that_reads_actions_is_asked_about_the_one_taken() -> None:
    model, seen = ensemble(members=1, use_action=True), frame()

    some, other = (maps(model, seen, action, "gradient") for action in (3, 4))

    assert not np.allclose(some, other, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_shows_the_corner_that_weights_read_and_random_weights_do_not(
    method: Method,
) -> None:
    """Sanity check of Adebayo et al. 2018: a map that survives random weights shows no learning."""
    model = ensemble(members=1, network="mlp", hidden=(2,))
    with torch.no_grad():
        weights = torch.zeros(2, 3, SIDE, SIDE)
        weights[0, :, 8:16, 8:16] = 0.1
        model.networks[0].head[0].weight.copy_(weights.flatten(1))

    read = np.abs(maps(model, frame(), None, method))
    model.reset(seed=9)
    random = np.abs(maps(model, frame(), None, method))

    assert read[:24, :24].sum() > 0.95 * read.sum()
    assert random[:24, :24].sum() < 0.4 * random.sum()
    assert abs(np.corrcoef(read.ravel(), random.ravel())[0, 1]) < 0.3


def test_vectors_have_no_pixels() -> None:
    model = RewardEnsemble(
        spaces.Box(-1, 1, (3,), np.float32), ACTIONS, RewardConfig(network="mlp"), seed=0
    )

    with pytest.raises(NoPictures, match="pictures"):
        maps(model, np.zeros(3, np.uint8), None, "gradient")


def test_all_three_maps_of_a_frame_take_less_than_two_seconds() -> None:
    model, seen = ensemble(), frame()  # three members of the default network
    started = time.process_time()

    for method in METHODS:
        maps(model, seen, None, method)

    assert time.process_time() - started < 2

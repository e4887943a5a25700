from __future__ import annotations

import numpy as np
import pytest
import torch

from learner.rewards.augmentation import InputNoise, crop

CPU = torch.device("cpu")


def test_noise_is_gaussian_with_the_given_spread() -> None:
    noise = InputNoise(0.1, CPU, np.random.default_rng(0))

    drawn = noise(torch.zeros(40, 3, 32, 32).to(memory_format=torch.channels_last))

    assert drawn.std().item() == pytest.approx(0.1, rel=0.02)
    assert drawn.mean().item() == pytest.approx(0.0, abs=0.002)
    kurtosis = (drawn**4).mean() / drawn.var() ** 2
    assert kurtosis.item() == pytest.approx(3.0, rel=0.05)


def test_inputs_get_noise_of_their_own() -> None:
    noise = InputNoise(1.0, CPU, np.random.default_rng(0))

    first, second = noise(torch.zeros(2, 3000)), noise(torch.zeros(2, 3000))

    for one, other in ((first[0], first[1]), (first[0], second[0])):
        assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1].item()) < 0.1


def test_no_noise_is_no_change() -> None:
    inputs = torch.ones(2, 3)

    assert torch.equal(InputNoise(0.0, CPU, np.random.default_rng(0))(inputs), torch.ones(2, 3))


def test_crops_leave_equal_lengths_in_a_pair_and_move_independently() -> None:
    left = crop(np.ones((2000, 10), dtype=bool), 4, np.random.default_rng(0))

    lengths = left.sum(axis=1)
    assert (lengths[::2] == lengths[1::2]).all()
    assert set(lengths.tolist()) == {6, 7, 8, 9, 10}
    starts = left.argmax(axis=1)
    assert set(starts.tolist()) == {0, 1, 2, 3, 4}
    assert (starts[::2] != starts[1::2]).any()
    inside = np.diff(np.pad(left.astype(int), ((0, 0), (1, 1))), axis=1)
    assert (np.abs(inside).sum(axis=1) == 2).all()  # one window each


def test_crops_never_bring_missing_steps_back_and_leave_a_step() -> None:
    valid = np.array([[True, True, False], [True, True, True]])
    rng = np.random.default_rng(0)

    assert not crop(np.tile(valid, (50, 1)), 2, rng)[::2, 2].any()
    assert crop(np.ones((40, 3), dtype=bool), 9, rng).any(axis=1).all()
    assert crop(valid, 0, rng) is valid

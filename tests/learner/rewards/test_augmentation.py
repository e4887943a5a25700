from __future__ import annotations

import numpy as np
import pytest
import torch

from learner.rewards.augmentation import InputNoise, augment, crop

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


def test_frames_of_a_segment_share_no_noise() -> None:
    """A stride shorter than a frame would give each frame the noise of the last, moved by rows."""
    noise = InputNoise(0.1, CPU, np.random.default_rng(0))

    drawn = noise(torch.zeros(100, 3, 64, 64).to(memory_format=torch.channels_last))

    for first in (0, 25, 50):
        segment = drawn[first : first + 25].reshape(-1).numpy()
        assert len(np.unique(segment)) > 0.97 * len(segment)


def test_wide_inputs_get_noise_too() -> None:
    noise = InputNoise(1.0, CPU, np.random.default_rng(0))

    drawn = noise(torch.zeros(2, 3_000_000))

    assert drawn.std().item() == pytest.approx(1, rel=0.01)
    assert abs(torch.corrcoef(drawn)[0, 1].item()) < 0.01


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


PICTURES = ("shift", "crop", "jitter", "cutout", "random_convolution", "grey")


def frames(seed: int = 0) -> torch.Tensor:
    """Two segments of three frames, each frame the same."""
    drawn = torch.rand(2, 1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return drawn.expand(2, 3, 3, 16, 16).reshape(6, 3, 16, 16).clone()


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_changed_alike_over_its_segment_and_stays_within_its_range(kind):
    changed = augment(frames(), 2, (kind,), np.random.default_rng(1))
    assert changed.shape == (6, 3, 16, 16)
    assert torch.equal(changed[0], changed[2])
    assert not torch.equal(changed, frames())
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


@pytest.mark.parametrize("kind", PICTURES[:-1])
def test_segments_are_changed_differently_and_equal_seeds_alike(kind):
    same = frames()[:3].repeat(2, 1, 1, 1)
    changed = augment(same, 2, (kind,), np.random.default_rng(1))
    assert not torch.equal(changed[0], changed[3])
    assert torch.equal(changed, augment(same, 2, (kind,), np.random.default_rng(1)))


def test_grey_pictures_have_one_colour_and_vectors_are_left_alone():
    grey = augment(frames(), 2, ("grey",), np.random.default_rng(0))
    assert torch.equal(grey[:, 0], grey[:, 2])
    vectors = torch.rand(6, 4)
    assert augment(vectors, 2, PICTURES, np.random.default_rng(0)) is vectors

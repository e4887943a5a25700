"""Rewards by regression: what they read, that they learn, and that they can be kept."""

from __future__ import annotations

import numpy as np
import pytest

from learner.errors import Diverged
from learner.rewards.regression import (
    RegressedReward,
    RegressionShape,
    UnreadableRegression,
    regress,
)

TINY = RegressionShape((4, 4, 3), hidden=(16,))
Batch = tuple[np.ndarray | None, np.ndarray, np.ndarray]


def lights(count: int, seed: int) -> Batch:
    """Frames of which one cell is lit; the reward is whether the second frame's is the corner."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((2, count, 4, 4, 3), np.uint8)
    cells = rng.integers(0, 4, (2, 2, count))
    for frame, (rows, columns) in zip(frames, cells, strict=True):
        frame[np.arange(count), rows, columns, 1] = 255
    return frames[0], frames[1], (cells[1].max(axis=0) == 0).astype(np.float32)


def test_the_error_on_unseen_transitions_falls_to_nearly_nothing() -> None:
    reward = RegressedReward(TINY, seed=0)
    test = lights(200, seed=1)

    passes = regress(
        reward, lights(1500, seed=0), test, np.random.default_rng(0),
        epochs=6, batch_size=20, learning_rate=3e-3,
    )  # fmt: skip

    assert len(passes) == 6
    assert passes[-1].test < 0.002 < passes[0].train
    predicted = reward.rewards(test[0], test[1])
    assert predicted[test[2] == 1].min() > 0.8
    assert passes[-1].test == pytest.approx(np.square(predicted - test[2]).mean(), rel=1e-4)


def test_a_reward_that_reads_what_comes_after_is_never_shown_what_came_before() -> None:
    reward = RegressedReward(RegressionShape((4, 4, 3), reads="after", hidden=(8,)), seed=0)
    before, after, _ = lights(5, seed=0)

    assert np.array_equal(reward.rewards(before, after), reward.rewards(None, after))


def test_codes_make_one_picture_of_walls_goals_and_agents() -> None:
    reward = RegressedReward(RegressionShape((1, 4, 3), reads="after", codes=(1, 3, 2)), seed=0)
    frame = np.zeros((1, 1, 4, 3), np.uint8)
    for cell in range(3):
        frame[0, 0, cell, cell] = 255

    assert reward.pictures(None, frame).tolist() == [[[[1.0, 3.0, 2.0, 0.0]]]]


def test_an_empty_hidden_layer_gives_no_reward_as_the_output_has_no_bias() -> None:
    reward = RegressedReward(TINY, seed=0)
    for name, weights in reward.network.named_parameters():
        if name.endswith("bias"):
            weights.data.zero_()
    dark = np.zeros((1, 4, 4, 3), np.uint8)

    assert reward.rewards(dark, dark) == 0.0


@pytest.mark.parametrize(
    "shape",
    [
        RegressionShape((11, 11, 3), codes=(1.0, 3.0, 2.0)),
        RegressionShape((84, 84, 4), network="nature", reads="after"),
    ],
)
def test_a_kept_reward_gives_the_same_rewards(shape: RegressionShape) -> None:
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 256, (2, 3, *shape.frame), dtype=np.uint8)
    reward = RegressedReward(shape, seed=4)

    again = RegressedReward.unpack(reward.pack())

    assert again.shape == shape
    assert np.array_equal(again.rewards(before, after), reward.rewards(before, after))
    assert not np.array_equal(
        RegressedReward(shape, seed=5).rewards(before, after), again.rewards(before, after)
    )


def test_a_file_cut_short_is_told() -> None:
    with pytest.raises(UnreadableRegression, match="cut short"):
        RegressedReward.unpack(RegressedReward(TINY, seed=0).pack()[:100])


def test_an_error_without_bounds_is_told() -> None:
    reward = RegressedReward(TINY, seed=0)
    before, after, _ = lights(20, seed=0)
    endless = (before, after, np.full(20, np.inf, np.float32))

    with pytest.raises(Diverged, match="learning_rate"):
        regress(
            reward, endless, endless, np.random.default_rng(0),
            epochs=1, batch_size=5, learning_rate=1e-3,
        )  # fmt: skip

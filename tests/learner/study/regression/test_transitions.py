"""What is recorded around each step, balanced or as it comes, with the score hidden or not."""

from __future__ import annotations

import numpy as np
import pytest

from learner.envs.atari import score_window
from learner.envs.maze import AGENT, GOAL
from learner.study.folder import StudyError
from learner.study.regression.cases import Case, Source
from learner.study.regression.transitions import Transitions, read, record

COIN_FLIP = Case("maze/coin-flip", 0)


def places(frames: np.ndarray, channel: int) -> list[tuple[int, int]]:
    """Where the only wall, goal or agent of each frame is."""
    return [tuple(map(int, np.argwhere(frame[..., channel])[0])) for frame in frames]


def test_a_reward_is_that_of_the_step_between_the_two_frames(folder):
    """The end of an episode included: what is seen after it is not the next one's beginning."""
    found = read(Source(COIN_FLIP, "newest", False).path(folder, "train"))
    assert len(found) == 400
    paid = found.rewards == 1

    assert paid.sum() > 10
    # The agent hides the goal that it stands on, and stands on it just where it is paid.
    assert (found.after[..., GOAL].any(axis=(1, 2)) == ~paid).all()
    assert found.before is not None
    known = paid & found.before[..., GOAL].any(axis=(1, 2))  # an episode can begin on the goal
    assert places(found.after[known], AGENT) == places(found.before[known], GOAL)
    moved = np.abs(
        np.array(places(found.after, AGENT)) - np.array(places(found.before, AGENT))
    ).sum(axis=1)
    assert moved.max() == 1


def test_train_and_test_transitions_differ(folder):
    train, test = (
        read(Source(COIN_FLIP, "newest", False).path(folder, split)) for split in ("train", "test")
    )
    assert not np.array_equal(train.after[: len(test)], test.after)


def test_half_of_balanced_transitions_are_rewarded_and_all_checkpoints_play(
    folder, maze_study, tmp_path
):
    study = maze_study()
    (tmp_path / "policies").symlink_to(folder.root / "policies")
    lines: list[str] = []
    source = Source(COIN_FLIP, "all", True)
    target = type(folder)(tmp_path)

    record(study, target, source, "test", lines.append)

    found = read(source.path(target, "test"))
    assert len(found) == 200
    assert (found.rewards != 0).mean() == 0.5
    assert [line for line in lines if "policy" in line] == [
        "test, policy of 0 steps",
        "test, policy of 512 steps",
    ]


def test_rewards_that_are_too_rare_are_told(folder, maze_study, tmp_path):
    study = maze_study(transitions={"longest": 40})
    (tmp_path / "policies").symlink_to(folder.root / "policies")
    source = Source(COIN_FLIP, "newest", True)

    with pytest.raises(StudyError, match=r"200 are wanted; raise transitions\.longest"):
        record(study, type(folder)(tmp_path), source, "train", str)


def test_a_masked_frame_is_black_where_the_score_is_and_nowhere_else():
    frames = np.full((2, 84, 84, 4), 200, np.uint8)
    masked = Transitions(None, frames, np.zeros(2, np.float32)).masked("ALE/Breakout-v5")

    black = (masked.after == 0).all(axis=(0, 3))
    assert (frames == 200).all()
    rows, columns = score_window("ALE/Breakout-v5")
    assert black[rows, columns].all()
    assert black.sum() == black[rows, columns].size
    # Rows 4-16 of 210 and columns 35-81 of 160, on 84x84 and rounded outwards.
    assert (rows, columns) == (slice(1, 7), slice(18, 43))


def test_a_game_whose_score_is_not_known_cannot_be_masked():
    frames = np.zeros((1, 84, 84, 4), np.uint8)
    with pytest.raises(StudyError, match="not known where ALE/Freeway-v5"):
        Transitions(None, frames, np.zeros(1, np.float32)).masked("ALE/Freeway-v5")

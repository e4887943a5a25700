from __future__ import annotations

import numpy as np
import pytest

from learner.trajectories import Segment, Trajectory, TrajectoryError, digest


def trajectory(**changes) -> Trajectory:
    facts = {
        "environment": {"id": "procgen/coinrun"},
        "start_state": b"\x00state\xff",
        "actions": np.arange(6),
        "rewards": np.array([0, 0, 1, 0, 2.5, -1], np.float32),
        "ends": np.zeros(6, np.bool_),
        "episode": "3-120",
        "level": 42,
        "policy_step": 9000,
        "digest": digest(np.zeros((6, 2))),
    }
    return Trajectory(**(facts | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"actions": np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)},
        {
            "start_state": None,
            "observations": np.arange(12, dtype=np.float32).reshape(6, 2),
            "frames": np.arange(6 * 4 * 4 * 3, dtype=np.uint8).reshape(6, 4, 4, 3),
        },
    ],
)
def test_a_trajectory_is_packed_and_unpacked_without_loss(changes):
    before = trajectory(**changes)
    after = Trajectory.from_bytes(before.to_bytes())
    for name, value in vars(before).items():
        other = getattr(after, name)
        if isinstance(value, np.ndarray):
            assert value.dtype == other.dtype
            assert np.array_equal(value, other)
        else:
            assert value == other


def test_equal_trajectories_have_equal_bytes():
    assert trajectory().to_bytes() == trajectory().to_bytes()


@pytest.mark.parametrize("damage", [lambda b: b[:-40], lambda b: b"", lambda b: b"no archive"])
def test_damaged_content_is_refused_in_one_line(damage):
    with pytest.raises(TrajectoryError, match="not a trajectory, or cut short") as error:
        Trajectory.from_bytes(damage(trajectory().to_bytes()))
    assert "\n" not in str(error.value)


def test_every_cut_and_every_flipped_byte_is_noticed_or_harmless():
    content = trajectory().to_bytes()
    for position in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[position] ^= 0xFF
        for damaged in (content[:position], bytes(flipped)):
            try:
                read = Trajectory.from_bytes(damaged)
            except TrajectoryError:
                continue
            assert np.array_equal(read.rewards, trajectory().rewards)


def test_a_segment_is_worth_the_rewards_of_its_own_steps():
    segment = Segment(trajectory(), start=2, length=3)
    assert segment.rewards.tolist() == [1, 0, 2.5]
    assert segment.true_return == 3.5
    with pytest.raises(AssertionError):
        Segment(trajectory(), start=4, length=3)


def test_the_digest_depends_on_values_not_on_memory_layout():
    array = np.arange(12).reshape(3, 4)
    assert digest(array) == digest(np.asfortranarray(array))
    assert digest(array) != digest(array + 1)

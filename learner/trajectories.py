"""Trajectories as recipes, and the segments cut from them.

A trajectory holds a start state, the actions taken from there and the true rewards paid.
Where the environment can be restored, everything else is rendered again from this recipe,
bit-exact; elsewhere the observations and the rendered frames are stored beside it.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.errors import LearnerError

# What NumPy and zipfile raise on content that is cut short, altered or something else.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class TrajectoryError(LearnerError):
    """A stored trajectory that cannot be read or does not replay as it was recorded."""


@dataclass(frozen=True)
class Trajectory:
    """One episode, or part of one.

    Attributes:
        environment: the `EnvironmentConfig` it was made in, as plain values.
        start_state: the environment's snapshot before the first action; None if the
            family cannot be restored.
        actions: (steps, ...) as given to the environment.
        rewards: (steps,) float32 true rewards, environment units.
        ends: (steps,) bool, True where the episode ended with that step.
        episode: names the part of an episode it is from; hold-out splits are by this.
        level: the level's seed, or -1 where there are none.
        policy_step: environment steps the policy had learned from.
        digest: SHA-256 of the agent's view of all steps, for the replay check.
        observations: (steps, ...) the agent's view, only where it cannot be replayed.
        frames: (steps, H, W, 3) uint8 for people, only where it cannot be replayed.
    """

    environment: Mapping[str, Any]
    start_state: bytes | None
    actions: NDArray[Any]
    rewards: NDArray[np.float32]
    ends: NDArray[np.bool_]
    episode: str
    level: int
    policy_step: int
    digest: str
    observations: NDArray[Any] | None = None
    frames: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        steps = len(self.actions)
        assert self.rewards.shape == (steps,), (self.rewards.shape, steps)
        assert self.ends.shape == (steps,), (self.ends.shape, steps)

    @property
    def steps(self) -> int:
        """Number of steps, those before a segment's start included."""
        return len(self.actions)

    def to_bytes(self) -> bytes:
        """Pack as a compressed NPZ archive."""
        arrays: dict[str, NDArray[Any]] = {
            "actions": self.actions,
            "rewards": self.rewards,
            "ends": self.ends,
        }
        if self.start_state is not None:
            arrays["start_state"] = np.frombuffer(self.start_state, dtype=np.uint8)
        if self.observations is not None:
            arrays["observations"] = self.observations
        if self.frames is not None:
            arrays["frames"] = self.frames
        facts = {
            "environment": dict(self.environment),
            "episode": self.episode,
            "level": self.level,
            "policy_step": self.policy_step,
            "digest": self.digest,
        }
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Trajectory:
        """Unpack what `to_bytes` packed.

        Raises:
            TrajectoryError: truncated or foreign content.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            facts = json.loads(arrays.pop("facts").tobytes())
            state = arrays.pop("start_state", None)
            return cls(start_state=None if state is None else state.tobytes(), **arrays, **facts)
        except _UNREADABLE as error:
            raise TrajectoryError(
                "not a trajectory, or cut short; restore the artifact from a backup"
            ) from error


@dataclass(frozen=True)
class Segment:
    """A window of a trajectory: steps [start, start + length).

    `length` is shorter than the configured segment only where an episode ended inside
    the window (`segments.at_episode_end: pad`); the missing steps are worth 0.
    """

    trajectory: Trajectory = field(repr=False)
    start: int
    length: int

    def __post_init__(self) -> None:
        assert self.start >= 0, self.start
        assert self.length >= 1, self.length
        assert self.start + self.length <= self.trajectory.steps

    @property
    def window(self) -> slice:
        """The segment's steps within its trajectory."""
        return slice(self.start, self.start + self.length)

    @property
    def rewards(self) -> NDArray[np.float32]:
        """(length,) true rewards; for synthetic teachers and evaluation only."""
        return self.trajectory.rewards[self.window]

    @property
    def true_return(self) -> float:
        """Sum of the true rewards of the segment."""
        return float(self.rewards.sum())


def digest(observations: NDArray[Any]) -> str:
    """SHA-256 of an array's bytes, in C order."""
    return hashlib.sha256(np.ascontiguousarray(observations).tobytes()).hexdigest()

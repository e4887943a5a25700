"""Clips: segments as short videos, in the view for people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.replay import frame_rate, replay, replay_people
from learner.trajectories import Segment, Trajectory
from learner.video import encode


def render_clip(segment: Segment) -> bytes:
    """A segment as MP4, in the view for people at natural speed.

    Raises:
        TrajectoryError: the segment cannot be shown.
        MissingCodec: no H.264 encoder.
    """
    trajectory = segment.trajectory
    return encode(replay_people(trajectory, segment.window), frame_rate(trajectory))


def render_agent_view(segment: Segment) -> bytes | None:
    """A segment as MP4, in step with its clip, as the agent sees it; None if it sees no picture.

    Raises:
        TrajectoryError: the segment cannot be replayed.
        MissingCodec: no H.264 encoder.
    """
    trajectory = segment.trajectory
    played = replay(trajectory)
    seen = played.observations[segment.window]
    if seen.ndim != 4 or seen.dtype != np.uint8:
        return None
    if not played.ends[segment.window][-1]:
        seen = np.concatenate([seen, seen[-1:]])  # the clip shows the last action's result as well
    return encode(_coloured(seen), frame_rate(trajectory))


def _coloured(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, H, W, C) stacked frames -> (n, H, W, 3): the newest of each stack, grey as it is."""
    if frames.shape[3] % 3 == 0:
        return frames[..., -3:]
    return frames[..., -1:].repeat(3, axis=3)


def render_trajectory(trajectory: Trajectory) -> bytes:
    """A whole trajectory as MP4, like `render_clip`."""
    return encode(replay_people(trajectory, slice(None)), frame_rate(trajectory))

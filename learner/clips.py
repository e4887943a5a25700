"""Clips: segments as short videos, in the view for people."""

from __future__ import annotations

from learner.replay import frame_rate, replay_people
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


def render_trajectory(trajectory: Trajectory) -> bytes:
    """A whole trajectory as MP4, like `render_clip`."""
    return encode(replay_people(trajectory, slice(None)), frame_rate(trajectory))

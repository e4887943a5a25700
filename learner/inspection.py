"""What people want to know of a trajectory: what it shows and paid, what a model makes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.clips import render_agent_view, render_trajectory
from learner.errors import LearnerError
from learner.replay import Replay, frame_rate
from learner.rewards.ensemble import ForeignRewardModel, RewardEnsemble
from learner.saliency import Method, maps
from learner.trajectories import Segment, Trajectory, TrajectoryError


class NothingToSee(LearnerError):
    """There is no picture of this."""


def describe_steps(trajectory: Trajectory) -> bytes:
    """JSON: level, frames per second, and by step true rewards (null: not known) and ends."""
    return _json(
        level=trajectory.level,
        fps=_rate(trajectory),
        rewards=_numbers(trajectory.rewards),
        ends=[bool(end) for end in trajectory.ends],
    )


def film(trajectory: Trajectory) -> bytes:
    """All of a trajectory as MP4, as people see it: frame t is what was there before action t.

    Raises:
        TrajectoryError: it cannot be replayed or shown.
        MissingCodec: no H.264 encoder.
    """
    return render_trajectory(trajectory)


def agent_film(trajectory: Trajectory) -> bytes:
    """All of a trajectory as MP4, as the agent sees it, frame by frame with `film`.

    Raises:
        NothingToSee: the agent sees no picture.
        TrajectoryError: it cannot be replayed.
        MissingCodec: no H.264 encoder.
    """
    video = render_agent_view(Segment(trajectory, 0, trajectory.steps))
    if video is None:
        raise NothingToSee("the agent sees numbers here, not pictures")
    return video


def describe_rewards(trajectory: Trajectory, played: Replay, model: RewardEnsemble) -> bytes:
    """JSON: each member's reward of every step, `raw` in nats and `normalised` as the agent's pay.

    Args:
        trajectory: what was done.
        played: the same, played again.
        model: one version of a run's.

    Raises:
        ForeignRewardModel: it was fitted to other observations.
    """
    refuse_foreign(played, model)
    raw = model.raw(played.observations, trajectory.actions)
    return _json(
        raw=[_numbers(member) for member in raw],
        normalised=[_numbers(member) for member in model.normalise(raw)],
    )


def describe_saliency(
    trajectory: Trajectory, played: Replay, model: RewardEnsemble, method: Method, step: int
) -> bytes:
    """JSON: where in a step's frame its reward comes from, as rows of shares of the largest value.

    Args:
        trajectory: what was done.
        played: the same, played again.
        model: one version of a run's.
        method: how it is found.
        step: the frame before this action.

    Returns:
        `rows` of -100 to 100, of either sign for integrated gradients alone, and the `largest`
        value that 100 stands for.

    Raises:
        NothingToSee: there is no such step.
        NoPictures: the model reads vectors.
        ForeignRewardModel: it was fitted to other observations.
    """
    if step >= trajectory.steps:
        raise NothingToSee(f"this trajectory has only {trajectory.steps} steps, counted from 0")
    refuse_foreign(played, model)
    found = maps(model, played.observations[step], trajectory.actions[step], method)
    largest = float(np.abs(found).max())
    shares = found / largest if largest > 0 else np.zeros_like(found)
    return _json(rows=np.rint(100 * shares).astype(int).tolist(), largest=_number(largest))


def refuse_foreign(played: Replay, model: RewardEnsemble) -> None:
    """Make sure that a model can read what a trajectory shows.

    Raises:
        ForeignRewardModel: it cannot.
    """
    shown, read = played.observations.shape[1:], model.inputs.observation_shape or ()
    if shown != read:
        raise ForeignRewardModel(
            f"this reward model reads observations of shape {list(read)}, this trajectory shows "
            f"{list(shown)}; it was recorded in another environment"
        )


class SegmentScores:
    """What a version makes of many segments, gathered one by one."""

    def __init__(self, model: RewardEnsemble, earlier: bytes | None = None) -> None:
        """Begin to gather.

        Args:
            model: the version.
            earlier: what it was described as before, to go on from; None = nothing.
        """
        told = json.loads(earlier) if earlier else {"segments": [], "fps": None}
        self._model = model
        self._scores: list[dict[str, Any]] = told["segments"]
        self._fps: int | None = told["fps"]
        self._known = {one["id"] for one in self._scores}

    def __contains__(self, key: int) -> bool:
        return key in self._known

    def add(self, key: int, segment: Segment, played: Replay) -> None:
        """Score one.

        Raises:
            ForeignRewardModel: the model was fitted to other observations.
        """
        refuse_foreign(played, self._model)
        raw = self._model.raw(
            played.observations[segment.window], segment.trajectory.actions[segment.window]
        )
        paid = self._model.normalise(raw).mean(axis=1)
        self._fps = self._fps or _rate(segment.trajectory)
        self._scores.append(
            {
                "id": key,
                "returns": _numbers(raw.sum(axis=1)),
                "reward": _number(paid.mean()),
                "spread": _number(paid.std()),
            }
        )

    def describe(self, *, of: int) -> bytes:
        """JSON: of each segment its members' summed raw rewards, and the mean normalised reward of
        a step with its spread over the members; and the frames per second of their films.

        Args:
            of: how many segments there are in all.
        """
        return _json(of=of, fps=self._fps, segments=self._scores)


def _rate(trajectory: Trajectory) -> int | None:
    """Frames per second; None where it cannot be shown here, which keeps nothing else back."""
    try:
        return frame_rate(trajectory)
    except TrajectoryError:
        return None


def _numbers(values: NDArray[Any] | Sequence[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float) -> float | None:
    """Six digits are more than anybody sees; JSON knows no NaN."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _json(**values: Any) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode()

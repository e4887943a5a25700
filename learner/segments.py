"""Segments cut from rollouts: which windows, what is seen in them, and their recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learner.config import EnvironmentConfig, SegmentConfig
from learner.trajectories import Segment, Trajectory, digest


class Steps(Protocol):
    """What segments need of a rollout: T steps of N environments, side by side."""

    @property
    def observations(self) -> NDArray[Any]:
        """(T, N, ...) the agent's view before each action."""

    @property
    def actions(self) -> NDArray[Any]:
        """(T, N, ...) as given to the environments."""

    @property
    def true_rewards(self) -> NDArray[np.float32]:
        """(T, N) environment units."""

    @property
    def ends(self) -> NDArray[np.bool_]:
        """(T, N) True where an episode ended with the step."""

    @property
    def levels(self) -> NDArray[np.int64]:
        """(T, N) level seeds, -1 where there are none."""

    @property
    def episode_times(self) -> NDArray[np.int64]:
        """(T, N) steps of the episode before this one."""

    @property
    def anchors(self) -> Mapping[int, Sequence[bytes]]:
        """By t, the snapshots of all environments before step t."""

    @property
    def frames(self) -> Mapping[int, Sequence[NDArray[np.uint8]]]:
        """By t, some environments as people see them before step t; empty where replayed."""

    @property
    def policy_step(self) -> int:
        """Environment steps that the policy had learned from."""

    @property
    def first_step(self) -> int:
        """Steps of each environment before this rollout."""


@dataclass(frozen=True)
class Window:
    """Steps [t, t + length) of one environment of a rollout, all of one episode."""

    env: int
    t: int
    length: int


def draw_windows(
    rollout: Steps, count: int, config: SegmentConfig, rng: np.random.Generator
) -> list[Window]:
    """Draw distinct windows, uniformly over the steps at which they start.

    A window never holds steps of two episodes and is never cut by the rollout's end. One that
    would run over its episode's end is moved back to end with it, or, with `pad`, stops there
    and is shorter. An episode shorter than a segment is a window of its own length either way.
    Moving back can reach no further than the rollout's first step: where the episode began
    before that, the step starts no window.

    With `endings`, that share of them ends an episode; where too few do, there are fewer other
    windows too.

    Returns:
        At most `count` windows; fewer where the rollout has no more.
    """
    starts, lengths = _windows(rollout, config)
    if rollout.frames:  # of environments that are not filmed, people could be shown nothing
        lengths[:, len(rollout.frames[0]) :] = 0
    where = np.nonzero(lengths)
    order = rng.permutation(len(where[0]))
    # (candidates, 3) environment, first step, length, in random order
    drawn = np.stack([where[1], starts[where], lengths[where]], axis=1)[order]
    if not config.endings:
        return _distinct(drawn, count)
    ending = rollout.ends[drawn[:, 1] + drawn[:, 2] - 1, drawn[:, 0]]
    endings = _distinct(drawn[ending], round(count * config.endings))
    others = round(len(endings) * (1 / config.endings - 1))
    return endings + _distinct(drawn[~ending], others)


def _distinct(drawn: NDArray[np.int64], count: int) -> list[Window]:
    """The first `count` different windows among (candidates, 3) rows."""
    windows: dict[Window, None] = {}
    for env, t, length in drawn:
        if len(windows) >= count:
            break
        windows[Window(int(env), int(t), int(length))] = None
    return list(windows)


def _windows(rollout: Steps, config: SegmentConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The window that a step starts, for all steps: starts and lengths (T, N); length 0 = none."""
    steps = len(rollout.ends)
    t = np.arange(steps)[:, None]
    # The step with which the running episode ends; `steps` where it outlives the rollout.
    ends = np.where(rollout.ends, t, steps)
    last = np.minimum.accumulate(ends[::-1], axis=0)[::-1]
    begun = np.broadcast_to(t - rollout.episode_times, last.shape)
    crosses_end = (t + config.length - 1 > last) & (last < steps)
    starts = np.broadcast_to(t, last.shape).copy()
    if config.at_episode_end == "shift":
        back = np.maximum(last + 1 - config.length, begun)
        starts = np.where(crosses_end, np.minimum(back, t), starts)
    lengths = np.where(crosses_end, last + 1 - starts, config.length)
    lengths[(starts < 0) | (starts + lengths > steps)] = 0
    return starts, lengths


def window_observations(
    rollout: Steps, windows: Sequence[Window], length: int | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """What the agent saw in some windows, before each action.

    Args:
        rollout: where the windows lie.
        windows: from `draw_windows`.
        length: steps in each row; None = those of the longest window.

    Returns:
        (count, length, ...) observations, shorter windows padded by their last frame, and
        (count, length) True where a step is the window's own.
    """
    index, valid = _steps(windows, length)
    return rollout.observations[index], valid


def _steps(
    windows: Sequence[Window], length: int | None
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]:
    """Index into (T, N, ...) arrays that gives (count, length, ...), and the valid mask."""
    lengths = np.array([window.length for window in windows], np.int64)[:, None]
    offsets = np.arange(lengths.max(initial=0) if length is None else length)[None]
    starts = np.array([window.t for window in windows], np.int64)[:, None]
    envs = np.array([window.env for window in windows], np.int64)[:, None]
    return (starts + np.minimum(offsets, lengths - 1), envs), offsets < lengths


def window_sums(
    rewards: NDArray[np.floating[Any]],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    envs: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Sums of rewards over windows, by cumulative sums.

    Args:
        rewards: (..., T, N).
        starts: first steps, of any shape.
        lengths: steps, of that shape.
        envs: second indices, of that shape.

    Returns:
        (..., shape of the windows); NaN where a reward within the window is not finite.
    """
    finite = np.isfinite(rewards)
    before = np.zeros((*rewards.shape[:-2], 1, rewards.shape[-1]))
    summed = np.concatenate([before, np.where(finite, rewards, 0).cumsum(-2, dtype=float)], -2)
    sums: NDArray[np.float64] = summed[..., starts + lengths, envs] - summed[..., starts, envs]
    if not finite.all():
        missing = np.concatenate([before, (~finite).cumsum(-2)], -2)
        sums[missing[..., starts + lengths, envs] > missing[..., starts, envs]] = np.nan
    return sums


def to_segment(
    rollout: Steps, window: Window, environment: EnvironmentConfig, *, begin: int | None = None
) -> Segment:
    """A window as a segment that outlives its rollout.

    Its recipe starts at the newest snapshot at or before the window, so the segment skips the
    steps in between. Without snapshots (an environment that cannot be restored) it holds its
    observations, and its frames if there are any.

    Args:
        rollout: where the window lies.
        window: from `draw_windows`.
        environment: the run's.
        begin: first step of the part of an episode that names it; None = of what the rollout
            holds of the episode. The rest of a long episode is another part.
    """
    env, stop = window.env, window.t + window.length
    anchor = max((t for t in rollout.anchors if t <= window.t), default=None)
    first = window.t if anchor is None else anchor
    steps = slice(first, stop)
    observations = rollout.observations[steps, env]
    if begin is None:
        begin = max(0, window.t - int(rollout.episode_times[window.t, env]))
    trajectory = Trajectory(
        environment=environment.model_dump(mode="json"),
        start_state=None if anchor is None else rollout.anchors[anchor][env],
        actions=rollout.actions[steps, env].copy(),
        rewards=rollout.true_rewards[steps, env].copy(),
        ends=rollout.ends[steps, env].copy(),
        episode=f"{env}-{rollout.first_step + begin}",
        level=int(rollout.levels[window.t, env]),
        policy_step=rollout.policy_step,
        digest=digest(observations),
        observations=observations.copy() if anchor is None else None,
        frames=np.stack([rollout.frames[t][env] for t in range(first, stop)])
        if rollout.frames
        else None,
    )
    return Segment(trajectory, start=window.t - first, length=window.length)

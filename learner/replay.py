"""Trajectories played again from their recipes: the agent's view, and the view for people."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from learner.config import EnvironmentConfig
from learner.envs.protocol import Environments, UnavailableEnvironment
from learner.envs.registry import make
from learner.trajectories import Trajectory, TrajectoryError, digest

# Making an environment can take seconds, so a few are kept; one player at a time may use them.
_KEPT = 8
_PLAYING = threading.RLock()


@dataclass(frozen=True)
class Replay:
    """What a trajectory shows when it is played again.

    Attributes:
        observations: (steps, ...) the agent's view before each action.
        rewards: (steps,) float32 true rewards.
        ends: (steps,) bool, True where the episode ended with that step.
    """

    observations: NDArray[Any]
    rewards: NDArray[np.float32]
    ends: NDArray[np.bool_]


def replay(trajectory: Trajectory) -> Replay:
    """Play a trajectory again; where it cannot be, what was stored of it.

    Raises:
        TrajectoryError: its environment cannot be made here.
    """
    if trajectory.observations is not None:
        return Replay(trajectory.observations, trajectory.rewards, trajectory.ends)
    with _PLAYING:
        env = _restored(trajectory, people_view=False)
        observations = np.empty(
            (trajectory.steps, *env.observe().shape[1:]), env.observation_space.dtype
        )
        rewards = np.empty(trajectory.steps, np.float32)
        ends = np.empty(trajectory.steps, np.bool_)
        view = env.observe()
        for step, action in enumerate(trajectory.actions):
            observations[step] = view[0]
            view, reward, end, _ = env.step(np.asarray(action)[None])
            rewards[step], ends[step] = reward[0], end[0]
    return Replay(observations, rewards, ends)


def verify(trajectory: Trajectory) -> None:
    """Check that a trajectory replays as it was recorded, bit for bit.

    Raises:
        TrajectoryError: rewards, ends or observations differ; the message says which.
    """
    played = replay(trajectory)
    differing = [
        name
        for name, equal in [
            ("rewards", np.array_equal(played.rewards, trajectory.rewards, equal_nan=True)),
            ("ends", np.array_equal(played.ends, trajectory.ends)),
            ("observations", digest(played.observations) == trajectory.digest),
        ]
        if not equal
    ]
    if differing:
        raise TrajectoryError(
            f"a trajectory of {trajectory.environment.get('id')} does not replay as recorded "
            f"({', '.join(differing)} differ); it was made with another version of the "
            "environment, or its record is damaged"
        )


def replay_people(trajectory: Trajectory, window: slice) -> NDArray[np.uint8]:
    """A trajectory's window as people see it.

    Args:
        trajectory: played from its start state up to the window's end.
        window: its steps that are shown, with a step of 1.

    Returns:
        (frames, H, W, 3): one frame before each action, and one after the last, so that its
        result is seen; none after an episode's end, which the environment never shows.

    Raises:
        TrajectoryError: its environment cannot be made here, or it cannot be shown.
    """
    if trajectory.frames is not None:
        return trajectory.frames[window]
    if trajectory.start_state is None:
        raise TrajectoryError(
            "this trajectory has neither a start state nor frames, so it cannot be shown"
        )
    start, stop, _ = window.indices(trajectory.steps)
    with _PLAYING:
        env = _restored(trajectory, people_view=True)
        frames = []
        for step in range(stop):
            if step >= start:
                frames.append(env.render_people())
            _, _, end, _ = env.step(np.asarray(trajectory.actions[step])[None])
        if not end[0]:
            frames.append(env.render_people())
    return np.stack(frames)


def frame_rate(trajectory: Trajectory) -> int:
    """Frames per second at which people see it at natural speed."""
    return _environment(_key(trajectory), people_view=trajectory.frames is None).fps


def _restored(trajectory: Trajectory, *, people_view: bool) -> Environments:
    """One environment in the trajectory's start state; the caller holds the lock."""
    if trajectory.start_state is None:
        raise TrajectoryError(
            "this trajectory has neither a start state nor observations, so it cannot be replayed"
        )
    env = _environment(_key(trajectory), people_view=people_view)
    env.load(0, trajectory.start_state)
    return env


def _key(trajectory: Trajectory) -> str:
    """The trajectory's environment as text, equal for equal environments."""
    try:
        config = EnvironmentConfig.model_validate(dict(trajectory.environment))
    except ValidationError as error:
        problem = error.errors()[0]
        raise TrajectoryError(
            f"a trajectory names an environment that cannot be made: "
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        ) from error
    return config.model_dump_json()


@lru_cache(maxsize=_KEPT)
def _environment(key: str, *, people_view: bool) -> Environments:
    """A single environment for replay, made once per configuration."""
    config = EnvironmentConfig.model_validate_json(key)
    try:
        return make(config, num_envs=1, seed=0, people_view=people_view)
    except UnavailableEnvironment as error:
        raise TrajectoryError(f"a trajectory cannot be replayed: {error}") from error

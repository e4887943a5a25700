"""Demonstrations from Minari data sets, and as such.

Minari (Farama Foundation) keeps observations, actions and rewards, not states, so what comes
from it cannot be played again: the reward model and the policy learn from it, people cannot be
shown it. Needs `pip install 'clipwise[minari]'`; `minari download ID` fetches a data set.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from numpy.typing import NDArray

from learner.agents.cloning import DemonstrationError
from learner.config import EnvironmentConfig
from learner.envs.gymnasium import viewed
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.replay import replay
from learner.trajectories import Trajectory, digest


def import_dataset(name: str, environment: EnvironmentConfig) -> list[Trajectory]:
    """The episodes of a local Minari data set, as demonstrations for runs in an environment.

    Args:
        name: the data set's id, e.g. "mujoco/hopper/expert-v0".
        environment: of the runs; the data set must be of the same.

    Raises:
        DemonstrationError: Minari is not installed, there is no such data set here, or it is of
            another environment or holds other observations or actions.
    """
    minari = _library()
    try:
        dataset = minari.load_dataset(name)
    except (FileNotFoundError, ValueError) as error:
        raise DemonstrationError(
            f"there is no Minari data set '{name}' here; fetch it with `minari download {name}`"
        ) from error
    _check_name(name, dataset, environment)
    with closing(make(environment, num_envs=1, seed=0)) as environments:
        shown, view = viewed(f"Minari data set {name}", dataset.observation_space)
        _check_observations(name, shown, environments)
        _check_actions(name, dataset.action_space, environments.action_space)
        dtype = environments.action_space.dtype
    played = []
    for episode in dataset.iterate_episodes():
        steps = len(episode.rewards)
        seen = np.stack([view(_at(episode.observations, t)) for t in range(steps)])
        played.append(
            Trajectory(
                environment=environment.model_dump(mode="json"),
                start_state=None,
                actions=np.asarray(episode.actions).astype(dtype),
                rewards=np.asarray(episode.rewards, np.float32),
                ends=np.asarray(episode.terminations | episode.truncations, np.bool_),
                episode=f"minari-{episode.id}",
                level=-1,
                policy_step=0,
                digest=digest(seen),
                observations=seen,
            )
        )
    return played


def export_dataset(name: str, trajectories: Sequence[Trajectory]) -> None:
    """Write demonstrations as a local Minari data set.

    Minari wants an observation after the last step. None is kept of an episode's end, so the last
    one is repeated.

    Args:
        name: id of the new data set, e.g. "procgen/fruitbot/mine-v0".
        trajectories: at least one, all of one environment.

    Raises:
        DemonstrationError: Minari is not installed, or it refuses the name.
        TrajectoryError: a trajectory that cannot be played here.
    """
    minari = _library()
    environment = EnvironmentConfig.model_validate(dict(trajectories[0].environment))
    with closing(make(environment, num_envs=1, seed=0)) as environments:
        space, actions = environments.observation_space, environments.action_space
    episodes = [_buffer(minari, trajectory) for trajectory in trajectories]
    try:
        with warnings.catch_warnings(action="ignore"):  # it misses an author and a code link
            minari.create_dataset_from_buffers(
                name,
                episodes,
                observation_space=space,
                action_space=actions,
                description=f"Demonstrations in {environment.id}, written by Clipwise",
            )
    except ValueError as error:
        raise DemonstrationError(
            f"Minari cannot make a data set '{name}': {' '.join(str(error).split())}"
        ) from error


def _library() -> Any:
    try:
        import minari
    except ModuleNotFoundError as error:
        raise DemonstrationError(
            "Minari is not installed: pip install 'clipwise[minari]'"
        ) from error
    return minari


def _check_name(name: str, dataset: Any, environment: EnvironmentConfig) -> None:
    """Refuse a data set of another environment; other versions of the same may pass."""
    recorded = getattr(dataset.spec.env_spec, "id", None)
    if recorded is not None and _family(recorded) != _family(environment.id):
        raise DemonstrationError(
            f"Minari data set {name} is of {recorded}, the config's environment is "
            f"{environment.id}; use a data set of the same environment"
        )


def _family(name: str) -> str:
    return name.rpartition("-v")[0] or name


def _check_observations(name: str, shown: spaces.Box, environments: Environments) -> None:
    wanted = environments.observation_space
    if shown.shape == wanted.shape and shown.dtype == wanted.dtype:
        return
    lack = ", not the images that the environment shows" if len(wanted.shape or ()) == 3 else ""
    raise DemonstrationError(
        f"Minari data set {name} holds observations {shown.shape} of {shown.dtype}{lack} "
        f"({wanted.shape} of {wanted.dtype} are needed); record with `clipwise demonstrate`"
    )


def _check_actions(name: str, found: Space[Any], wanted: Space[Any]) -> None:
    same = type(found) is type(wanted) and found.shape == wanted.shape
    if isinstance(found, spaces.Discrete) and isinstance(wanted, spaces.Discrete):
        same = (found.n, found.start) == (wanted.n, wanted.start)
    if not same:
        raise DemonstrationError(
            f"Minari data set {name} holds actions {found}, the environment takes {wanted}; use a "
            "data set of the same environment"
        )


def _at(values: Any, t: int) -> Any:
    """Step t of an episode's observations, which may be nested."""
    if isinstance(values, dict):
        return {key: _at(value, t) for key, value in values.items()}
    if isinstance(values, tuple):
        return tuple(_at(value, t) for value in values)
    return values[t]


def _buffer(minari: Any, trajectory: Trajectory) -> Any:
    seen: NDArray[Any] = replay(trajectory).observations
    ends = trajectory.ends
    cut = np.zeros_like(ends)
    cut[-1] = not ends[-1]
    return minari.data_collector.EpisodeBuffer(
        observations=np.concatenate([seen, seen[-1:]]),
        actions=trajectory.actions,
        rewards=trajectory.rewards.astype(np.float64),
        terminations=ends,
        truncations=cut,
        infos={},
    )

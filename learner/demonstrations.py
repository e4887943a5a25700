"""Demonstrations: trajectories given as good behaviour, and what a run makes of them.

A folder of files, one trajectory each, in the order of their names. Before its first rollout a
run clones them; among its first pairs they can be shown and preferred (Ibarz et al. 2018).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.agents.cloning import Demonstration, DemonstrationError, clone
from learner.agents.ppo import PPOAgent
from learner.agents.rollouts import ANCHOR_EVERY
from learner.config import EnvironmentConfig, RunConfig
from learner.envs.procgen import TEST_LEVELS
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.rankings.orders import Ranking, by_training_time, by_true_return
from learner.rankings.snippets import SnippetConfig, draw_snippets
from learner.seeds import generator
from learner.segments import Window, draw_windows, to_segment
from learner.trajectories import Segment, Trajectory, TrajectoryError, digest

SUFFIX = ".npz"

# Which levels are played, and how many at once, may differ from the run's; nothing else may.
_FREE = {"num_envs", "start_level", "num_levels"}


Drawn = tuple[Segment, NDArray[Any]]
"""A segment of a demonstration, and (length, ...) what is seen in it."""


@dataclass(frozen=True)
class _Played:
    """One demonstration played again: a rollout of a single environment (`segments.Steps`)."""

    observations: NDArray[Any]
    actions: NDArray[Any]
    true_rewards: NDArray[np.float32]
    ends: NDArray[np.bool_]
    levels: NDArray[np.int64]
    episode_times: NDArray[np.int64]
    anchors: Mapping[int, Sequence[bytes]]
    frames: Mapping[int, Sequence[NDArray[np.uint8]]]
    policy_step: int
    environment: EnvironmentConfig
    trajectory: Trajectory
    first_step: int = 0


class ChangedDemonstrations(DemonstrationError):
    """Demonstrations that are not those a run was begun with; they can be put back."""

    resumable = True


class Demonstrations:
    """All demonstrations of a run, in memory: a 64x64x3 image takes 12 kB per step.

    Attributes:
        digest: of the files that they were read from.
    """

    def __init__(self, played: Sequence[_Played], config: RunConfig, digest: str) -> None:
        self.digest = digest
        self._played = played
        self._config = config
        # Windows are drawn uniformly over all steps; a fragment may be too short to hold one.
        self._segments = config.segments.model_copy(update={"endings": 0.0})
        probe = np.random.default_rng(0)
        steps = [
            len(one.ends) * bool(draw_windows(one, 1, self._segments, probe)) for one in played
        ]
        self._weights = np.array(steps, dtype=np.float64)

    def refuse_changed(self, before: str) -> None:
        """Refuse others than a run has begun with: its first pairs would not be the same.

        Raises:
            ChangedDemonstrations: their digest was another.
        """
        if self.digest != before:
            raise ChangedDemonstrations(
                f"the demonstrations in {self._config.demonstrations.path} have changed since the "
                "run began; put them back as they were, or start a new run"
            )

    def to_clone(self) -> list[Demonstration]:
        """What behaviour cloning sees of them."""
        return [Demonstration(one.observations[:, 0], one.actions[:, 0]) for one in self._played]

    def imitate(self, agent: PPOAgent, *, pulse: Callable[[], None]) -> dict[str, float]:
        """Clone them into an agent's policy, if the run wants it; metrics as `clone` gives them."""
        epochs = self._config.demonstrations.clone_epochs
        if not epochs:
            return {}
        rng = generator(self._config.seed, "cloning")
        return clone(agent, self.to_clone(), rng, epochs=epochs, pulse=pulse)

    def ranking(self) -> tuple[Ranking, list[list[Trajectory]]]:
        """The order that the config asks for, and the same as trajectories, the best first.

        Raises:
            RankingError: they are all tied.
        """
        kind = self._config.demonstrations.ranking
        assert kind is not None
        if kind == "training_time":
            order = by_training_time([one.policy_step for one in self._played])
        else:
            order = by_true_return([float(one.true_rewards.sum()) for one in self._played])
        places = [
            [self._played[int(at)].trajectory for at in np.flatnonzero(order.ranks == rank)]
            for rank in np.unique(order.ranks)[::-1]
        ]
        return order, places

    def snippets(
        self, order: Ranking, rng: np.random.Generator
    ) -> list[tuple[Drawn, Drawn, float]]:
        """Pairs of parts of ranked demonstrations, with how likely the first is the better."""
        wanted, steps = self._config.demonstrations, self._config.segments.length
        config = SnippetConfig(
            rule=wanted.ranking_rule,
            pairs=wanted.ranking_pairs,
            min_length=steps,
            max_length=steps,
            stride=1,
        )
        drawn = draw_snippets(order, [one.true_rewards[:, 0] for one in self._played], config, rng)
        sides = [
            [
                self._part(self._played[int(demo)], int(demo), Window(0, int(start), int(length)))
                for demo, start, length in zip(*columns, strict=True)
            ]
            for columns in zip(drawn.demonstrations, drawn.starts, drawn.lengths, strict=True)
        ]
        return [(a, b, float(mu)) for (a, b), mu in zip(sides, drawn.targets, strict=True)]

    def draw(self, rng: np.random.Generator) -> Drawn:
        """A window of a demonstration, uniformly drawn over their steps.

        Returns:
            The segment, and (length, ...) what is seen in it before each action.

        Raises:
            DemonstrationError: no demonstration is as long as a segment.
        """
        total = self._weights.sum()
        if not total:
            raise DemonstrationError(
                f"no demonstration holds a whole segment of {self._segments.length} steps; lower "
                "segments.length or give longer demonstrations"
            )
        index = int(rng.choice(len(self._played), p=self._weights / total))
        played = self._played[index]
        (window,) = draw_windows(played, 1, self._segments, rng)
        return self._part(played, index, window)

    @staticmethod
    def _part(played: _Played, index: int, window: Window) -> Drawn:
        """A window as a segment whose episode names its demonstration."""
        segment = to_segment(played, window, played.environment)
        begun = window.t - int(played.episode_times[window.t, 0])
        named = replace(segment.trajectory, episode=f"demonstration-{index}-{begun}")
        seen = played.observations[window.t : window.t + window.length, 0]
        return replace(segment, trajectory=named), seen


def load(config: RunConfig, environments: Environments) -> Demonstrations | None:
    """Read a run's demonstrations and play each again, which shows that they fit.

    Args:
        config: the run's.
        environments: the run's; what they show and take is what demonstrations must hold.

    Returns:
        None where the config names none.

    Raises:
        DemonstrationError: a file that cannot be used; the message names it.
    """
    if config.demonstrations.path is None:
        return None
    folder = Path(config.demonstrations.path)
    played = []
    with ExitStack() as stack:
        stages: dict[str, Environments] = {}

        def stage(environment: EnvironmentConfig) -> Environments:
            key = environment.model_dump_json()
            if key not in stages:
                stages[key] = stack.enter_context(closing(make(environment, num_envs=1, seed=0)))
            return stages[key]

        for path, trajectory in read(folder):
            environment = _agreeing(path, trajectory, config.environment)
            _check_level(path, trajectory, config)
            one = _play_again(path, trajectory, environment, stage)
            _check_spaces(path, one, environments)
            if config.demonstrations.initial_share and config.teacher.kind == "person":
                _check_pictures(path, trajectory)
            played.append(one)
    return Demonstrations(played, config, _digest_of(folder))


def read(folder: Path) -> Iterator[tuple[Path, Trajectory]]:
    """The demonstrations of a folder, in the order of their names.

    Raises:
        DemonstrationError: no folder, nothing in it, or a file that is no demonstration.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise DemonstrationError(
            f"there are no demonstrations in {folder}; write some with "
            f"`clipwise demonstrate RUN --out {folder}`"
        )
    for path in paths:
        try:
            trajectory = Trajectory.from_bytes(path.read_bytes())
        except TrajectoryError as error:
            raise DemonstrationError(
                f"{path} is no demonstration, or it is cut short; write it again or remove it"
            ) from error
        except OSError as error:
            raise DemonstrationError(f"cannot read {path}: {error.strerror}") from error
        if not trajectory.steps:
            raise DemonstrationError(f"{path} holds no steps; remove it")
        yield path, trajectory


def _digest_of(folder: Path) -> str:
    """SHA-256 over the names and contents of its files, in the order of their names."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        whole.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def write(folder: Path, trajectories: Sequence[Trajectory]) -> list[Path]:
    """Write demonstrations into a new or empty folder, one file each.

    Raises:
        DemonstrationError: there are demonstrations already, or it cannot be written.
    """
    refuse_used(folder)
    paths = [folder / f"demonstration-{n:04d}{SUFFIX}" for n in range(len(trajectories))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, trajectory in zip(paths, trajectories, strict=True):
            path.write_bytes(trajectory.to_bytes())
    except OSError as error:
        raise DemonstrationError(f"cannot write to {folder}: {error.strerror}") from error
    return paths


def refuse_used(folder: Path) -> None:
    """Keep demonstrations of two sources apart.

    Raises:
        DemonstrationError: the folder holds demonstrations already.
    """
    if any(folder.glob(f"*{SUFFIX}")):
        raise DemonstrationError(f"{folder} holds demonstrations already; name another folder")


def _agreeing(path: Path, trajectory: Trajectory, wanted: EnvironmentConfig) -> EnvironmentConfig:
    """The demonstration's environment, if it is the run's but for the choice of levels."""
    found, expected = dict(trajectory.environment), wanted.model_dump(mode="json")
    for name in expected:
        if name not in _FREE and found.get(name) != expected[name]:
            raise DemonstrationError(
                f"{path} was made with environment.{name}={found.get(name)}, the run has "
                f"{expected[name]}; use demonstrations of the same environment"
            )
    levels = {name: found.get(name, expected[name]) for name in _FREE}
    return EnvironmentConfig.model_validate(expected | levels)


def _check_level(path: Path, trajectory: Trajectory, config: RunConfig) -> None:
    """Refuse what shows a level that the run is scored on; only Procgen's have numbers."""
    first = config.evaluation.test_start_level
    tested = config.environment.id.startswith("procgen/")
    if tested and first <= trajectory.level < first + TEST_LEVELS:
        raise DemonstrationError(
            f"{path} was played on level {trajectory.level}, and the run is scored on levels from "
            f"{first} on; use demonstrations of other levels, or move evaluation.test_start_level"
        )


def _play_again(
    path: Path,
    trajectory: Trajectory,
    environment: EnvironmentConfig,
    stage: Callable[[EnvironmentConfig], Environments],
) -> _Played:
    """A demonstration with all that is seen in it, and snapshots from which to show parts of it."""
    anchors: dict[int, list[bytes]] = {}
    if trajectory.observations is not None:
        observations, rewards, ends = trajectory.observations, trajectory.rewards, trajectory.ends
    elif trajectory.start_state is not None:
        observations, rewards, ends = _perform(trajectory, stage(environment), anchors)
    else:
        raise DemonstrationError(f"{path} holds neither a start state nor observations; remove it")
    same = np.array_equal(rewards, trajectory.rewards) and np.array_equal(ends, trajectory.ends)
    if not same or digest(observations) != trajectory.digest:
        raise DemonstrationError(
            f"{path} does not play again as it was recorded; it was made with another version of "
            "the environment, or it is damaged: write it again"
        )
    frames = trajectory.frames
    return _Played(
        observations=observations[:, None],
        actions=trajectory.actions[:, None],
        true_rewards=trajectory.rewards[:, None],
        ends=trajectory.ends[:, None],
        levels=np.full((trajectory.steps, 1), trajectory.level, np.int64),
        episode_times=_episode_times(trajectory.ends)[:, None],
        anchors=anchors,
        frames={} if frames is None else {t: [frame] for t, frame in enumerate(frames)},
        policy_step=trajectory.policy_step,
        environment=environment,
        trajectory=trajectory,
    )


def _perform(
    trajectory: Trajectory, env: Environments, anchors: dict[int, list[bytes]]
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_]]:
    """Play a recipe; observations, rewards and ends of its steps, snapshots into `anchors`."""
    assert trajectory.start_state is not None
    env.load(0, trajectory.start_state)
    view = env.observe()
    observations = np.empty((trajectory.steps, *view.shape[1:]), view.dtype)
    rewards = np.empty(trajectory.steps, np.float32)
    ends = np.empty(trajectory.steps, np.bool_)
    for t, action in enumerate(trajectory.actions):
        if t % ANCHOR_EVERY == 0:
            anchors[t] = [env.save(0)]
        observations[t] = view[0]
        view, reward, end, _ = env.step(np.asarray(action)[None])
        rewards[t], ends[t] = reward[0], end[0]
    return observations, rewards, ends


def _episode_times(ends: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(T,) steps of the episode before each step."""
    t = np.arange(len(ends))
    begun = np.where(np.concatenate([[True], ends[:-1]]), t, 0)
    times: NDArray[np.int64] = t - np.maximum.accumulate(begun)
    return times


def _check_spaces(path: Path, played: _Played, environments: Environments) -> None:
    """Refuse what the run's networks could not read."""
    for role, found, space in (
        ("observations", played.observations[:, 0], environments.observation_space),
        ("actions", played.actions[:, 0], environments.action_space),
    ):
        if found.shape[1:] != space.shape or found.dtype.kind != np.dtype(space.dtype).kind:
            raise DemonstrationError(
                f"{path} holds {role} {found.shape[1:]} of {found.dtype}, the environment's are "
                f"{space.shape} of {space.dtype}; use demonstrations of the same environment"
            )


def _check_pictures(path: Path, trajectory: Trajectory) -> None:
    """Refuse what people could not be shown."""
    if trajectory.start_state is None and trajectory.frames is None:
        raise DemonstrationError(
            f"{path} holds no pictures, so people cannot judge it; set "
            "demonstrations.initial_share=0, or let teacher.kind: synthetic judge"
        )

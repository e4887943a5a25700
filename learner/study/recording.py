"""Recording demonstrations: one level each, played by a checkpoint that is drawn for it.

A demonstration is a recipe (start state, actions, rewards) of about 12 kB; what it shows is
played again from it. Which checkpoint plays which level, and every action, follow from the
study's seed, so a recording that was interrupted goes on to the same demonstrations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from learner.agents.ppo import PPOAgent, make_agent
from learner.config import EnvironmentConfig, RunConfig
from learner.devices import Compute
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.episodes import Acting
from learner.seeds import generator
from learner.study.config import StudyConfig
from learner.study.experts import Kept, checkpoints, expert_config
from learner.study.folder import StudyError, StudyFolder, write_json, write_whole
from learner.trajectories import Trajectory

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Entry:
    """What is known of a demonstration without playing it.

    Attributes:
        number: its place in the split.
        level: the level's seed.
        checkpoint: environment steps that its player had learned from.
        true_return: sum of its true rewards.
        length: steps.
        ended: False where it was cut at `demonstrations.longest`.
        split: "train" or "test".
        noise: share of random actions; None where nothing was injected.
    """

    number: int
    level: int
    checkpoint: int
    true_return: float
    length: int
    ended: bool
    split: Split
    noise: float | None = None

    @classmethod
    def of(cls, trajectory: Trajectory, number: int, split: Split) -> Entry:
        """A recorded demonstration's facts."""
        return cls(
            number=number,
            level=trajectory.level,
            checkpoint=trajectory.policy_step,
            true_return=float(trajectory.rewards.sum(dtype=np.float64)),
            length=trajectory.steps,
            ended=bool(trajectory.ends[-1]),
            split=split,
        )


def plan(study: StudyConfig, game: str, split: Split, kept: list[Kept]) -> list[tuple[int, int]]:
    """(level, index of checkpoint) of every demonstration of a split, in order.

    Checkpoints are drawn uniformly, or, for poor demonstrations, the worse the likelier.
    """
    recording = study.demonstrations
    count = recording.train if split == "train" else recording.test
    first = recording.first_train_level if split == "train" else recording.first_test_level
    ranks = np.arange(1, len(kept) + 1, dtype=np.float64)
    weights = (ranks[::-1] / len(kept)) ** recording.low_quality
    rng = generator(study.seed, f"checkpoints of {game} {split}")
    chosen = rng.choice(len(kept), size=count, p=weights / weights.sum())
    return [(first + number, int(index)) for number, index in enumerate(chosen)]


def path_of(folder: Path, number: int) -> Path:
    """A demonstration's file."""
    return folder / f"{number:05d}.npz"


def record_split(
    study: StudyConfig, folder: StudyFolder, game: str, split: Split, pulse: Callable[[str], None]
) -> None:
    """Record the demonstrations of a split that are not there yet."""
    kept, place = checkpoints(folder.experts(game)), folder.demonstrations(game, split)
    planned = plan(study, game, split, kept)
    config = expert_config(study, game)
    side_by_side = min(study.demonstrations.side_by_side, len(planned))
    batch = make(config.environment, num_envs=side_by_side, seed=0)
    with closing(batch):
        if not batch.replayable:
            raise StudyError(
                f"{game} cannot be put back into a state, so its demonstrations would not be "
                "recipes; leave it out of games"
            )
        for index, checkpoint in enumerate(kept):
            own = [(n, level) for n, (level, drawn) in enumerate(planned) if drawn == index]
            # Whole parts, so that one that was interrupted is played again to the same end.
            parts = [own[at : at + side_by_side] for at in range(0, len(own), side_by_side)]
            missing = [
                (number, part)
                for number, part in enumerate(parts)
                if not all(path_of(place, one).exists() for one, _ in part)
            ]
            if not missing:
                continue
            agent = _agent(config, batch, checkpoint)
            for number, part in missing:
                rng = generator(study.seed, f"{game} {split} {index} {number}")
                _record(agent, batch, config.environment, part, place, study, rng)
            pulse(f"checkpoint {index + 1} of {len(kept)}")
    entries = [entry(place, number, split) for number in range(len(planned))]
    write_json(place / "index.json", [asdict(one) for one in entries])


def entry(place: Path, number: int, split: Split) -> Entry:
    """A stored demonstration's facts.

    Raises:
        TrajectoryError: the file is damaged.
    """
    content = path_of(place, number).read_bytes()
    return Entry.of(Trajectory.from_bytes(content), number, split)


def start_of(environment: EnvironmentConfig, level: int) -> bytes:
    """Snapshot of an environment at the beginning of a level.

    Where a family has no levels, the level is the seed of the episode.
    """
    if environment.id.startswith("procgen/"):
        environment = environment.model_copy(update={"start_level": level, "num_levels": 1})
    single = make(environment, num_envs=1, seed=level, test_start_level=level + 1)
    with closing(single):
        single.reset()
        return single.save(0)


def _agent(config: RunConfig, batch: Environments, checkpoint: Kept) -> PPOAgent:
    """The checkpoint's agent; its environments differ in number from those of training."""
    state = checkpoint.load()["agent"]
    agent = make_agent(config, batch, Compute(**state["compute"]))
    agent.policy.load_state_dict(state["policy"])
    agent.learned_steps = checkpoint.steps
    return agent


def _record(
    agent: PPOAgent,
    batch: Environments,
    environment: EnvironmentConfig,
    part: list[tuple[int, int]],
    place: Path,
    study: StudyConfig,
    rng: np.random.Generator,
) -> None:
    """Play some levels side by side and store each as a recipe."""
    starts = [start_of(environment, level) for _, level in part]
    played = play_levels(agent, batch, starts, study.demonstrations.longest, rng)
    for (number, level), start, one in zip(part, starts, played, strict=True):
        trajectory = Trajectory(
            environment=environment.model_dump(mode="json"),
            start_state=start,
            actions=one.actions,
            rewards=one.rewards,
            ends=one.ends,
            episode=f"{place.name}-{number}",
            level=level,
            policy_step=agent.learned_steps,
            digest=one.digest,
        )
        write_whole(path_of(place, number), partial(_write, trajectory))


def _write(trajectory: Trajectory, file: BinaryIO) -> None:
    file.write(trajectory.to_bytes())


@dataclass(frozen=True)
class Played:
    """One episode: (steps, ...) actions, rewards and ends, and the digest of what was seen."""

    actions: NDArray[Any]
    rewards: NDArray[np.float32]
    ends: NDArray[np.bool_]
    digest: str


def play_levels(
    agent: Acting,
    batch: Environments,
    starts: list[bytes],
    longest: int,
    rng: np.random.Generator,
) -> list[Played]:
    """Play one episode from each start, side by side in the first environments of a batch."""
    count = len(starts)
    for index, start in enumerate(starts):
        batch.load(index, start)
    hashes = [hashlib.sha256() for _ in starts]
    space = batch.action_space
    moves = np.zeros((batch.num_envs, *(space.shape or ())), space.dtype)
    actions: list[NDArray[Any]] = []
    rewards: list[NDArray[np.float32]] = []
    ends: list[NDArray[np.bool_]] = []
    alive = np.ones(count, np.bool_)
    lengths = np.zeros(count, np.int64)
    observations = batch.observe()
    while alive.any() and len(actions) < longest:
        running = np.flatnonzero(alive)
        moves[running] = agent.act(observations[running], rng)
        for index in running:
            hashes[index].update(np.ascontiguousarray(observations[index]).tobytes())
        observations, paid, ended, _ = batch.step(moves)
        actions.append(moves[:count].copy())
        rewards.append(paid[:count].copy())
        ends.append(ended[:count].copy())
        lengths += alive
        alive &= ~ended[:count]
    moved, paid_all, ended_all = np.stack(actions), np.stack(rewards), np.stack(ends)
    return [
        Played(
            actions=moved[:steps, index],
            rewards=paid_all[:steps, index],
            ends=ended_all[:steps, index],
            digest=hashes[index].hexdigest(),
        )
        for index, steps in enumerate(lengths)
    ]

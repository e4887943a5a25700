"""Recording demonstrations: one level each, played by a checkpoint that is drawn for it.

A demonstration is a recipe (start state, actions, rewards) of about 12 kB; what it shows is
played again from it. Which checkpoint plays which level, and every action, follow from the
study's seed, so a recording that was interrupted goes on to the same demonstrations.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from learner.config import EnvironmentConfig
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.episodes import Acting
from learner.seeds import generator
from learner.study.config import StudyConfig
from learner.study.experts import checkpoints, expert_config
from learner.study.folder import StudyError, StudyFolder, write_json, write_whole
from learner.study.players import Player, checkpoint_players, noisy_players
from learner.study.playing import play_levels, start_of, trajectory_of
from learner.trajectories import Trajectory, TrajectoryError

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


def plan(study: StudyConfig, game: str, split: Split, players: int) -> list[tuple[int, int]]:
    """(level, index of player) of every demonstration of a split, in order.

    Players are drawn uniformly, or, for poor demonstrations, the worse (earlier) the likelier.
    """
    recording = study.demonstrations
    count = recording.train if split == "train" else recording.test
    first = recording.first_train_level if split == "train" else recording.first_test_level
    ranks = np.arange(1, players + 1, dtype=np.float64)
    weights = (ranks[::-1] / players) ** recording.low_quality
    rng = generator(study.seed, f"checkpoints of {game} {split}")
    chosen = rng.choice(players, size=count, p=weights / weights.sum())
    return [(first + number, int(index)) for number, index in enumerate(chosen)]


def path_of(folder: Path, number: int) -> Path:
    """A demonstration's file."""
    return folder / f"{number:05d}.npz"


def record_split(
    study: StudyConfig, folder: StudyFolder, game: str, split: Split, pulse: Callable[[str], None]
) -> None:
    """Record the demonstrations of a split that are not there yet."""
    kept, place = checkpoints(folder.experts(game)), folder.demonstrations(game, split)
    config = expert_config(study, game)
    side_by_side = min(study.demonstrations.side_by_side, study.demonstrations.test)
    batch = make(config.environment, num_envs=side_by_side, seed=0)
    with closing(batch):
        if not batch.replayable:
            raise StudyError(
                f"{game} cannot be put back into a state, so its demonstrations would not be "
                "recipes; leave it out of games"
            )
        noisy = study.ranking.by == "noise" and split == "train"
        players = (
            noisy_players(study, game, config, batch, kept)
            if noisy
            else checkpoint_players(config, batch, kept)
        )
        planned = plan(study, game, split, len(players))
        for index, player in enumerate(players):
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
            acting = player.make()
            for number, part in missing:
                rng = generator(study.seed, f"{game} {split} {index} {number}")
                _record(player, acting, batch, config.environment, part, place, study, rng)
            pulse(f"player {index + 1} of {len(players)}")
    entries = [
        replace(entry(place, number, split), noise=players[index].noise)
        for number, (_, index) in enumerate(planned)
    ]
    write_json(place / "index.json", [asdict(one) for one in entries])


def entry(place: Path, number: int, split: Split) -> Entry:
    """A stored demonstration's facts.

    Raises:
        TrajectoryError: the file is damaged; the message names it.
    """
    path = path_of(place, number)
    try:
        return Entry.of(Trajectory.from_bytes(path.read_bytes()), number, split)
    except TrajectoryError as error:
        raise TrajectoryError(
            f"{path} is damaged; remove it and start the study again, which plays it anew"
        ) from error


def _record(
    player: Player,
    acting: Acting,
    batch: Environments,
    environment: EnvironmentConfig,
    part: list[tuple[int, int]],
    place: Path,
    study: StudyConfig,
    rng: np.random.Generator,
) -> None:
    """Play some levels side by side and store each as a recipe."""
    starts = [start_of(environment, level) for _, level in part]
    played = play_levels(acting, batch, starts, study.demonstrations.longest, rng)
    for (number, level), start, one in zip(part, starts, played, strict=True):
        name = f"{place.name}-{number}"
        recipe = trajectory_of(one, environment, start, level, player.steps, name)
        write_whole(path_of(place, number), partial(_write, recipe))


def _write(trajectory: Trajectory, file: BinaryIO) -> None:
    file.write(trajectory.to_bytes())

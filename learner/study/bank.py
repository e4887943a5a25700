"""What demonstrations show, as plain arrays on disk that all tasks of a machine share.

Made by playing the recipes again; a demonstration that does not play as it was recorded is named
and left out, and the rest goes on. The arrays can be removed at any time and are made again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from learner.replay import replay
from learner.study.folder import (
    StudyError,
    StudyFolder,
    game_slug,
    read_json,
    write_json,
    write_whole,
)
from learner.study.recording import Entry, Split, path_of
from learner.trajectories import Trajectory, TrajectoryError, digest


@dataclass(frozen=True)
class Bank:
    """The demonstrations of one game and split, one behind the other.

    Attributes:
        entries: what is known of each.
        observations: (steps, ...) of all, before each action; read from disk as needed.
        actions: (steps, ...).
        rewards: (steps,) true rewards.
        offsets: (demonstrations + 1,) first step of each.
        problems: one line for each demonstration that could not be used.
    """

    entries: tuple[Entry, ...]
    observations: NDArray[Any]
    actions: NDArray[Any]
    rewards: NDArray[np.float32]
    offsets: NDArray[np.int64]
    problems: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def steps(self, index: int) -> slice:
        """A demonstration's steps in the arrays."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(demonstrations,) steps."""
        lengths: NDArray[np.int64] = np.diff(self.offsets)
        return lengths

    @property
    def returns(self) -> NDArray[np.float64]:
        """(demonstrations,) true returns."""
        return np.array([one.true_return for one in self.entries])

    def reward_lists(self) -> list[NDArray[np.float32]]:
        """Per demonstration, (steps,) true rewards."""
        return [self.rewards[self.steps(index)] for index in range(len(self))]

    def among(self, chosen: NDArray[np.integer[Any]]) -> Bank:
        """Some of the demonstrations, copied into memory."""
        parts = [self.steps(int(index)) for index in chosen]
        observations, actions, rewards = (
            np.concatenate([array[part] for part in parts])
            for array in (self.observations, self.actions, self.rewards)
        )
        offsets = np.concatenate([[0], np.cumsum(self.lengths[chosen])])
        entries = tuple(self.entries[int(index)] for index in chosen)
        return Bank(entries, observations, actions, rewards, offsets, self.problems)


def open_bank(folder: StudyFolder, game: str, split: Split) -> Bank:
    """The demonstrations of a game and split.

    Raises:
        StudyError: there are none yet, or the arrays are damaged.
    """
    place = folder.bank(game, split)
    facts = read_json(place / "facts.json")
    entries = tuple(Entry(**one) for one in facts["entries"])
    offsets = np.concatenate([[0], np.cumsum([one.length for one in entries], dtype=np.int64)])
    shape = (int(offsets[-1]), *facts["shape"])
    try:
        # Copy on write: torch takes no arrays that it must not write to.
        observations = np.memmap(place / "observations.raw", facts["dtype"], "c", shape=shape)
        actions, rewards = np.load(place / "actions.npy"), np.load(place / "rewards.npy")
    except (OSError, ValueError, EOFError) as error:
        raise StudyError(
            f"{place} is damaged; remove it and start the study again, which makes it anew"
        ) from error
    return Bank(entries, observations, actions, rewards, offsets, tuple(facts["problems"]))


def make_bank(folder: StudyFolder, game: str, split: Split) -> None:
    """Play a split's demonstrations again and keep what they show."""
    source, place = folder.demonstrations(game, split), folder.bank(game, split)
    index = [Entry(**values) for values in read_json(source / "index.json")]
    usable: list[tuple[Entry, Trajectory]] = []
    problems: list[str] = []
    forms: list[tuple[tuple[int, ...], str]] = []

    def write(file: BinaryIO) -> None:
        for entry in index:
            try:
                trajectory = _read(path_of(source, entry.number))
                _check_origin(trajectory, entry, game)
                observations = _shown(trajectory)
                forms.append((observations.shape[1:], observations.dtype.str))
                if forms[-1] != forms[0]:
                    raise TrajectoryError(f"shows {forms[-1]}, the ones before it {forms[0]}")
            except TrajectoryError as error:
                problems.append(f"demonstration {path_of(source, entry.number)}: {error}")
                continue
            file.write(np.ascontiguousarray(observations).tobytes())
            usable.append((entry, trajectory))

    write_whole(place / "observations.raw", write)
    if len(usable) < 2:
        raise StudyError(
            f"{source} holds {len(usable)} demonstrations that can be used, of {len(index)}"
            f"{''.join(f'; {line}' for line in problems[:1])}; remove the folder and start the "
            "study again"
        )
    shape, dtype = forms[0]
    _save(place / "actions.npy", np.concatenate([one.actions for _, one in usable]))
    _save(place / "rewards.npy", np.concatenate([one.rewards for _, one in usable]))
    entries = [asdict(entry) for entry, _ in usable]
    facts = {"shape": shape, "dtype": dtype, "entries": entries, "problems": problems}
    write_json(place / "facts.json", facts)


def _read(path: Path) -> Trajectory:
    try:
        return Trajectory.from_bytes(path.read_bytes())
    except OSError as error:
        raise TrajectoryError(f"cannot be read: {error.strerror}") from error


def _check_origin(trajectory: Trajectory, entry: Entry, game: str) -> None:
    """Refuse what is not the demonstration that the index says it is."""
    found = game_slug(str(trajectory.environment["id"]))
    if (found, trajectory.level) != (game_slug(game), entry.level):
        raise TrajectoryError(
            f"is of {found}, level {trajectory.level}, not of {game_slug(game)}, level "
            f"{entry.level}; put the right file back"
        )


def _shown(trajectory: Trajectory) -> NDArray[Any]:
    """(steps, ...) what was seen, if it plays as it was recorded."""
    played = replay(trajectory)
    same = np.array_equal(played.rewards, trajectory.rewards)
    if not same or digest(played.observations) != trajectory.digest:
        raise TrajectoryError("does not play again as it was recorded; the file is damaged")
    return played.observations


def _save(path: Path, values: NDArray[Any]) -> None:
    write_whole(path, lambda file: np.save(file, values))

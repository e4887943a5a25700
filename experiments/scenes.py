"""Steps of CoinRun's demonstrations, as they were and drawn again with coin or wall changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.levels import (
    Edit,
    Frames,
    Grid,
    coin_of,
    flipped,
    place_for_coin,
    read_grid,
    redraw,
    with_coin,
    with_wall,
    without_both,
    without_coin,
    without_wall,
)
from learner.envs.protocol import Environments
from learner.trajectories import Trajectory

STEPS = 20  # before the end, or before the agent passes what was put in its way
_CELLS = 4  # that are flipped to see what any cell does
_NEAR = 6  # cells around the coin among which these are
_APART = 7  # columns: as far from the coin, an agent does not see it yet
_FIRST = 4  # column: a level's first three are where the agent begins
_FACE = 5  # pixels of the wall that are its face: a cell is 4.9 wide
_BODY = slice(29, 36)  # rows and columns of the agent, which is always in the middle of its view

Reward = Callable[[Frames], NDArray[np.floating[Any]]]
"""(steps, 64, 64, 3) frames to (steps,) rewards."""
Envs = tuple[Environments, Environments]
"""One to play in, and one on which changed levels are drawn."""


@dataclass(frozen=True)
class Scene:
    """Some steps of a demonstration, as they are and drawn again.

    Attributes:
        before_end: (steps,) how many steps before the demonstration's end; its last one is 1.
        frames: by what was changed, (steps, 64, 64, 3); under "as it is" what was seen.
    """

    before_end: NDArray[np.int64]
    frames: Mapping[str, Frames]

    def changed(self, name: str) -> NDArray[np.bool_]:
        """(steps, 64, 64) which pixels a change changed."""
        found: NDArray[np.bool_] = (self.frames[name] != self.frames["as it is"]).any(axis=3)
        return found

    def at(self, steps: NDArray[np.int64]) -> Scene:
        """Some of its steps."""
        chosen = {name: frames[steps] for name, frames in self.frames.items()}
        return Scene(self.before_end[steps], chosen)


def end_scene(trajectory: Trajectory, rng: np.random.Generator, envs: Envs) -> Scene:
    """The last steps that show the coin, and the same with it, the wall or single cells changed."""
    assert trajectory.start_state is not None
    grid = read_grid(trajectory.start_state)
    row, column = coin_of(grid)
    edits: dict[str, Edit] = {
        "as it is": np.copy,
        "no coin": without_coin,
        "no wall": without_wall,
        "neither": without_both,
        "wall cell": flipped(row, column + 1),
    }
    for number in range(_CELLS):
        edits[f"cell {number}"] = flipped(*_other_cell(grid, rng))
    scene = _scene(trajectory, edits, envs)
    shown = np.flatnonzero(scene.changed("no coin").any(axis=(1, 2)))
    return scene.at(shown[-STEPS:])


def elsewhere_scene(trajectory: Trajectory, envs: Envs) -> Scene | None:
    """Steps far from the end, and the same with a coin, a wall or both ahead of the agent.

    Returns:
        The last of them before the agent passes the place; None where there are none.
    """
    assert trajectory.start_state is not None
    grid = read_grid(trajectory.start_state)
    place = place_for_coin(grid, _APART, _FIRST)
    if place is None:
        return None
    wall, coin = with_wall(place[1] + 1), with_coin(*place)
    edits: dict[str, Edit] = {
        "as it is": np.copy,
        "coin": coin,
        "wall": wall,
        "both": lambda grid: coin(wall(grid)),
        "no end": without_both,
    }
    scene = _scene(trajectory, edits, envs)
    pixels, end = scene.changed("coin"), scene.changed("no end").any(axis=(1, 2))
    # (steps, 64) columns in which the added coin is drawn; ahead = right of the view's middle
    columns = pixels.any(axis=1)
    ahead = columns.any(axis=1) & ~columns[:, :32].any(axis=1) & ~end
    passed = np.flatnonzero(columns[:, :32].any(axis=1))
    until = passed[0] if len(passed) else len(ahead)
    steps = np.flatnonzero(ahead[:until])[-STEPS:]
    return scene.at(steps) if len(steps) else None


def _scene(trajectory: Trajectory, edits: Mapping[str, Edit], envs: Envs) -> Scene:
    frames = redraw(trajectory, edits, *envs)
    return Scene(np.arange(trajectory.steps, 0, -1), frames)


def _other_cell(grid: Grid, rng: np.random.Generator) -> tuple[int, int]:
    """A cell near the coin that is neither it nor part of the wall that ends the level."""
    row, column = coin_of(grid)
    while True:
        y, x = row + rng.integers(-_NEAR, _NEAR + 1), column - rng.integers(_NEAR + 1)
        if (y, x) != (row, column) and y >= 0 and x >= 1:
            return int(y), int(x)


def effects(reward: Reward, scene: Scene) -> dict[str, float]:
    """By change, the mean change of the reward over the steps in which it is in sight.

    Of equal changes (`cell 0`, `cell 1`, ...) the mean; NaN where none is in sight.
    """
    usual = np.asarray(reward(scene.frames["as it is"]), np.float64)
    found = {}
    for name in [name for name in scene.frames if name != "as it is"]:
        seen = scene.changed(name).any(axis=(1, 2))
        found[name] = np.nan
        if seen.any():
            found[name] = float((reward(scene.frames[name][seen]) - usual[seen]).mean())
    cells = [found.pop(name) for name in list(found) if name.startswith("cell ")]
    if cells:
        found["other cell"] = mean_of_known(cells)
    return {"as it is": float(usual.mean()), **found}


def mean_of_known(values: Sequence[float]) -> float:
    """Mean of what is not NaN; NaN of nothing."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else np.nan


def regions(scene: Scene) -> dict[str, NDArray[np.bool_]]:
    """(steps, 64, 64) masks: the coin, the wall's face and the rest of it, the agent, elsewhere."""
    coin = scene.changed("no coin")
    wall = scene.changed("no wall") & ~coin
    agent = np.zeros_like(coin)
    agent[:, _BODY, _BODY] = True
    agent &= ~coin & ~wall
    face = np.zeros_like(wall)
    for step, there in enumerate(wall.any(axis=1)):  # (64,) columns that show some of the wall
        if there.any():
            first = int(np.flatnonzero(there)[0])
            face[step, :, first : first + _FACE] = wall[step, :, first : first + _FACE]
    elsewhere = ~coin & ~wall & ~agent
    return {
        "coin": coin,
        "wall's face": face,
        "wall within": wall & ~face,
        "agent": agent,
        "elsewhere": elsewhere,
    }

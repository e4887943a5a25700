"""CoinRun's levels inside snapshots of the game: what stands where, changed and drawn again.

Procgen has no option for a coin that is elsewhere. A snapshot holds the level's grid, though, and
the game draws whatever grid it is put back with; nothing else of the snapshot is touched.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from learner.envs.protocol import Environments
from learner.trajectories import Trajectory, TrajectoryError

# Kinds of cells: https://github.com/openai/procgen/blob/master/procgen/src/games/coinrun.cpp
COIN, WALL, GROUND, FREE = 1, 15, 16, 100
SIDE = 64  # cells of a level, whatever part of it the agent can reach

Grid = NDArray[np.int32]
"""(SIDE, SIDE) kinds of cells, the lowest row first; the last one is the ceiling."""
Edit = Callable[[Grid], Grid]
"""From a grid, left as it is, to a changed one."""
Frames = NDArray[np.uint8]
"""(steps, 64, 64, 3) the agent's view."""

_HEADER = struct.pack("<3i", SIDE, SIDE, SIDE * SIDE)
_BYTES = 4 * SIDE * SIDE


def read_grid(state: bytes) -> Grid:
    """The grid within a snapshot.

    Raises:
        TrajectoryError: there is not exactly one, or it holds not exactly one coin.
    """
    grid: Grid = np.frombuffer(state, "<i4", SIDE * SIDE, _place(state)).reshape(SIDE, SIDE)
    if (grid == COIN).sum() != 1:
        raise TrajectoryError("a snapshot of CoinRun holds no coin, or several")
    return grid


def with_grid(state: bytes, grid: Grid) -> bytes:
    """The same snapshot with another grid."""
    place = _place(state)
    return state[:place] + grid.astype("<i4").tobytes() + state[place + _BYTES :]


def _place(state: bytes) -> int:
    """Where the cells begin; names of assets, of any length, stand before them."""
    if state.count(_HEADER) != 1:
        raise TrajectoryError("a snapshot holds no grid as CoinRun's")
    return state.index(_HEADER) + len(_HEADER)


def coin_of(grid: Grid) -> tuple[int, int]:
    """Row and column of the coin; the wall that ends the level begins one column further on."""
    ((row, column),) = np.argwhere(grid == COIN)
    return int(row), int(column)


def without_coin(grid: Grid) -> Grid:
    """No coin; the wall behind it is there."""
    return np.where(grid == COIN, np.int32(FREE), grid)


def without_wall(grid: Grid) -> Grid:
    """No wall behind the coin: the ground that it lies on goes on."""
    row, column = coin_of(grid)
    changed = grid.copy()
    changed[row:-1, column + 1 :] = FREE
    changed[row - 1, column + 1 :] = GROUND
    return changed


def without_both(grid: Grid) -> Grid:
    """Neither coin nor wall."""
    return without_coin(without_wall(grid))


def flipped(row: int, column: int) -> Edit:
    """One cell free that was not, or a piece of wall where nothing was."""

    def edit(grid: Grid) -> Grid:
        changed = grid.copy()
        changed[row, column] = WALL if grid[row, column] == FREE else FREE
        return changed

    return edit


def with_coin(row: int, column: int) -> Edit:
    """A second coin."""

    def edit(grid: Grid) -> Grid:
        changed = grid.copy()
        changed[row, column] = COIN
        return changed

    return edit


def with_wall(column: int) -> Edit:
    """Solid from a column on up to the old end, as levels end."""

    def edit(grid: Grid) -> Grid:
        changed = grid.copy()
        changed[:, column : coin_of(grid)[1]] = WALL
        return changed

    return edit


def place_for_coin(grid: Grid, apart: int, first: int) -> tuple[int, int] | None:
    """A free place on the ground under open sky, as far to the right as it may be.

    Args:
        grid: with the coin at its end.
        apart: least columns between there and the coin.
        first: least column, away from where the level begins.

    Returns:
        Row and column; None in levels without such a place.
    """
    for column in range(coin_of(grid)[1] - apart, first - 1, -1):
        row = int(np.flatnonzero(grid[:-1, column] != FREE)[-1]) + 1
        if grid[row - 1, column] == GROUND:
            return row, column
    return None


def redraw(
    trajectory: Trajectory, edits: Mapping[str, Edit], played: Environments, board: Environments
) -> dict[str, Frames]:
    """What the agent would have seen before each of its actions, had the level been another.

    The episode is played as it was; every frame is drawn from its own snapshot with a changed grid,
    so that whatever moves is where it was.

    Args:
        trajectory: a recipe.
        edits: by name.
        played: a single environment, in which it is played.
        board: another one, on which changed levels are drawn.
    """
    assert trajectory.start_state is not None, "Procgen's trajectories are recipes"
    shape = (trajectory.steps, *board.observe().shape[1:])
    drawn = {name: np.empty(shape, np.uint8) for name in edits}
    played.load(0, trajectory.start_state)
    for step, action in enumerate(trajectory.actions):
        state = played.save(0)
        grid = read_grid(state)
        for name, edit in edits.items():
            board.load(0, with_grid(state, edit(grid)))
            drawn[name][step] = board.observe()[0]
        played.step(np.asarray(action)[None])
    return drawn

"""Small mazes whose reward is known for every state, action and next state.

An empty room of 9x9 cells within walls, after the ones of Michaud et al. 2020 ("Understanding
learned reward functions"): +1 for a step that ends on a goal, also when a wall blocked it, and
the episode ends there. Everything about them can be computed: they are where a learned reward
can be compared with the true one exactly.

    maze/fixed-goal    one goal in the far corner
    maze/coin-flip     one goal, in either of two corners by the toss of a coin
    maze/two-goals     both of them
    maze/random-goal   one goal on any cell

`environment.options` takes `size` (cells per side) and `terminating: false`, where goals pay again
and again and an episode is 50 steps long.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from learner.envs.protocol import UnavailableEnvironment
from learner.envs.single import Single, Stream

KINDS = ("fixed-goal", "coin-flip", "two-goals", "random-goal")
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Row and column that north, south, west and east add."""
WALL, GOAL, AGENT = 0, 1, 2
"""Channels of the picture; a goal under the agent is hidden by it."""

_SIZES = range(2, 32)
_STATE = struct.Struct("<3i")  # agent, goals (the second is -1 where there is but one)
_CELL = 24  # pixels, as people see it
_COLOURS = np.array([(70, 70, 80), (60, 180, 90), (40, 110, 220)], np.uint8)
_FLOOR = 240


class Maze:
    """The rules of one maze; cells are numbered row by row, walls left out.

    Attributes:
        size: cells per side.
        corners: the cells that goals of fixed place stand on: near, far.
    """

    def __init__(self, size: int = 9) -> None:
        self.size = size
        self.corners = (0, size * size - 1)

    @property
    def cells(self) -> int:
        """How many cells there are to stand on."""
        return self.size * self.size

    def move(self, cell: int, action: int) -> int:
        """The cell that an action leads to; walls block."""
        row, column = divmod(cell, self.size)
        down, right = MOVES[action]
        row = min(max(row + down, 0), self.size - 1)
        column = min(max(column + right, 0), self.size - 1)
        return row * self.size + column

    def rewards(self, goals: tuple[int, ...]) -> NDArray[np.float64]:
        """(cells, actions, cells) reward of every step, given the goals: 1 for ending on one."""
        table = np.zeros((self.cells, len(MOVES), self.cells))
        table[:, :, list(goals)] = 1.0
        return table

    def transitions(self) -> NDArray[np.int64]:
        """(cells, actions) where each action leads from each cell."""
        return np.array(
            [
                [self.move(cell, action) for action in range(len(MOVES))]
                for cell in range(self.cells)
            ]
        )

    def draw(self, agent: int, goals: tuple[int, ...]) -> NDArray[np.uint8]:
        """(size + 2, size + 2, 3) what the agent sees: 255 where wall, goal or agent are."""
        side = self.size + 2
        picture = np.zeros((side, side, 3), np.uint8)
        picture[[0, -1], :, WALL] = picture[:, [0, -1], WALL] = 255
        for goal in goals:
            picture[self._place(goal)][GOAL] = 255
        picture[self._place(agent)] = 0
        picture[self._place(agent)][AGENT] = 255
        return picture

    def goals(self, kind: str, rng: np.random.Generator) -> tuple[int, ...]:
        """Where an episode's goals are."""
        near, far = self.corners
        if kind == "two-goals":
            return (near, far)
        if kind == "coin-flip":
            return (int(rng.choice(self.corners)),)
        if kind == "random-goal":
            return (int(rng.integers(self.cells)),)
        return (far,)

    def placements(self, kind: str) -> list[tuple[int, ...]]:
        """Everywhere that an episode's goals can be."""
        near, far = self.corners
        if kind == "random-goal":
            return [(cell,) for cell in range(self.cells)]
        if kind == "two-goals":
            return [(near, far)]
        return [(near,), (far,)] if kind == "coin-flip" else [(far,)]

    def _place(self, cell: int) -> tuple[int, int]:
        """A cell's row and column in the picture, which has walls around."""
        row, column = divmod(cell, self.size)
        return row + 1, column + 1


def coloured(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) what an agent sees, in colours for people."""
    image = np.full(picture.shape, _FLOOR, np.uint8)
    for channel, colour in enumerate(_COLOURS):
        image[picture[..., channel] > 0] = colour
    return image


class MazeSingle(Single):
    """One maze."""

    replayable = True
    pictures = True
    fps = 8

    def __init__(self, name: str, options: dict[str, Any], stream: Stream) -> None:
        self._kind, size, self._terminating = _rules(name, options)
        self._maze = Maze(size)
        self._stream = stream
        side = size + 2
        self.observation_space = spaces.Box(0, 255, (side, side, 3), np.uint8)
        self.action_space = spaces.Discrete(len(MOVES))
        self.limit = 200 if self._terminating else 50
        self._agent = 0
        self._goals: tuple[int, ...] = ()

    def reset(self) -> NDArray[Any]:
        """Start the next episode on a cell drawn uniformly."""
        rng = np.random.default_rng(self._stream.advance())
        self._agent = int(rng.integers(self._maze.cells))
        self._goals = self._maze.goals(self._kind, rng)
        return self._seen()

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool]:
        """Observation, reward, terminated, truncated."""
        self._agent = self._maze.move(self._agent, int(action))
        there = self._agent in self._goals
        return self._seen(), float(there), there and self._terminating, False

    def save(self) -> bytes:
        """The episode's seed, and where agent and goals are."""
        goals = (*self._goals, -1)[:2]
        return self._stream.pack() + _STATE.pack(self._agent, *goals)

    def load(self, state: bytes) -> NDArray[Any]:
        """Go back to a snapshot."""
        self._agent, *goals = _STATE.unpack(self._stream.unpack(state))
        self._goals = tuple(goal for goal in goals if goal >= 0)
        return self._seen()

    def render(self) -> NDArray[np.uint8]:
        """(H, W, 3) floor light, walls grey, goals green, the agent blue."""
        image = coloured(self._seen())
        wide: NDArray[np.uint8] = image.repeat(_CELL, axis=0).repeat(_CELL, axis=1)
        return wide

    def close(self) -> None:
        """Nothing is held."""

    def _seen(self) -> NDArray[np.uint8]:
        return self._maze.draw(self._agent, self._goals)


def _rules(name: str, options: dict[str, Any]) -> tuple[str, int, bool]:
    """Kind, size and whether goals end the episode.

    Raises:
        UnavailableEnvironment: an unknown kind or option.
    """
    kind = name.removeprefix("maze/")
    if kind not in KINDS:
        raise UnavailableEnvironment(
            f"unknown maze '{kind}'; environment.id is one of maze/" + ", maze/".join(KINDS)
        )
    unknown = sorted(set(options) - {"size", "terminating"})
    if unknown:
        raise UnavailableEnvironment(
            f"mazes have no option '{unknown[0]}'; environment.options takes size and terminating"
        )
    size, terminating = options.get("size", 9), options.get("terminating", True)
    if size not in _SIZES or not isinstance(terminating, bool):
        raise UnavailableEnvironment(
            f"a maze of size {size!r}, terminating {terminating!r} cannot be made; size is "
            f"{_SIZES.start} to {_SIZES.stop - 1}, terminating true or false"
        )
    return kind, int(size), terminating

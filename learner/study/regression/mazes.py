"""What a regressed reward makes of mazes that it never saw, and which cells it looks at.

After figures 2 and 3 of Michaud et al. 2020: a goal is hidden by the agent that stands on it, so
"no goal is in sight" tells a reward as well as "the agent stands on the goal" wherever there is
one goal. Mazes without goals, with two, and with many tell the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner.envs.maze import MOVES, Maze
from learner.rewards.regression import RegressedReward
from learner.saliency.methods import gradient

Frames = NDArray[np.uint8]
_NORTH, _SOUTH, _EAST = 0, 1, 3


@dataclass(frozen=True)
class Move:
    """A step in a maze.

    Attributes:
        title: in words.
        goals: cells.
        cell: where the agent stands.
        action: what it does.
    """

    title: str
    goals: tuple[int, ...]
    cell: int
    action: int

    def frames(self, maze: Maze) -> tuple[Frames, Frames]:
        """(1, H, W, C) what is seen before and after."""
        after = maze.move(self.cell, self.action)
        return (
            maze.draw(self.cell, self.goals)[None],
            maze.draw(after, self.goals)[None],
        )

    def true_reward(self, maze: Maze) -> float:
        """What the maze pays."""
        return float(maze.move(self.cell, self.action) in self.goals)


@dataclass(frozen=True)
class Counterfactual:
    """A move that no episode had, and what is predicted for it.

    Attributes:
        name: of the maze: no goal, two goals, many goals.
        title: in words.
        predicted: the reward of the move that is drawn.
        everywhere: the mean over every cell and action of the same maze whose true reward is
            that of the move.
        true: what the maze would pay.
    """

    name: str
    title: str
    predicted: float
    everywhere: float
    true: float


def counterfactual_moves(maze: Maze) -> dict[str, Move]:
    """The published three, and the ordinary step onto the only goal beside them."""
    middle, far = maze.cells // 2, maze.corners[1]
    above = far - maze.size
    every_second = tuple(cell for cell in range(maze.cells) if cell % 2 == 0)
    return {
        "one goal": Move("onto the only goal", (far,), above, _SOUTH),
        "no goal": Move("no goal anywhere", (), middle, _EAST),
        "two goals": Move("onto one of two goals", maze.corners, above, _SOUTH),
        "many goals": Move("goals on every second cell", every_second, middle, _EAST),
    }


def counterfactuals(reward: RegressedReward, maze: Maze) -> list[Counterfactual]:
    """What a reward predicts where there are no goals, two, or many."""
    found = []
    for name, move in counterfactual_moves(maze).items():
        true = move.true_reward(maze)
        like = [
            one
            for cell in range(maze.cells)
            for action in range(len(MOVES))
            if (one := Move("", move.goals, cell, action)).true_reward(maze) == true
        ]
        frames = [one.frames(maze) for one in like]
        everywhere = reward.rewards(
            np.concatenate([before for before, _ in frames]),
            np.concatenate([after for _, after in frames]),
        )
        predicted = float(reward.rewards(*move.frames(maze))[0])
        found.append(Counterfactual(name, move.title, predicted, float(everywhere.mean()), true))
    return found


def salient_moves(maze: Maze) -> list[Move]:
    """Three steps per corner that a goal can be in; the third of each is onto the goal."""
    near, far = maze.corners
    middle = maze.cells // 2
    return [
        Move("far from the goal", (near,), middle, _EAST),
        Move("beside the goal", (near,), near + 2 * maze.size, _NORTH),
        Move("onto the goal", (near,), near + maze.size, _NORTH),
        Move("far from the goal", (far,), middle, _EAST),
        Move("beside the goal", (far,), far - 2 * maze.size, _SOUTH),
        Move("onto the goal", (far,), far - maze.size, _SOUTH),
    ]


def saliency(
    reward: RegressedReward, maze: Maze, move: Move
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(H, W) each: how steeply the reward depends on the cells before and after a move."""
    pictures = reward.pictures(*move.frames(maze))[0]
    steep = np.abs(gradient(reward, pictures))
    own = len(steep) // 2 if reward.shape.reads == "both" else 0
    before = steep[:own].max(axis=0) if own else np.zeros(steep.shape[1:], np.float32)
    return before, steep[own:].max(axis=0)


def shares(maps: list[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> dict[str, float]:
    """How much is looked at before the step, and how evenly after it, walls left out.

    Returns:
        `before`: mean gradient by cells before the step, over that after it;
        `spread`: standard deviation over mean of the gradient by cells after it.
    """
    inside = np.s_[1:-1, 1:-1]
    before = np.mean([one[inside].mean() for one, _ in maps])
    after = np.mean([other[inside].mean() for _, other in maps])
    uneven = np.mean([other[inside].std() / other[inside].mean() for _, other in maps])
    return {"before": float(before / after), "spread": float(uneven)}

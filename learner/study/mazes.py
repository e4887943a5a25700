"""EPIC of a reward model on mazes, where the true reward of every transition is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.config import EnvironmentConfig
from learner.envs.maze import MOVES, Maze
from learner.evaluation.epic import epic_table
from learner.rewards.ensemble import RewardEnsemble

_GAMMA = 0.99


def maze_epic(ensemble: RewardEnsemble, environment: EnvironmentConfig) -> float | None:
    """Exact EPIC distance of learned and true reward, the mean over all places of the goals.

    Coverage is every cell and action, equally often; states and actions are drawn evenly.

    Returns:
        0 equal up to shaping and scale, 0.71 unrelated, 1 opposed; NaN for a constant reward;
        None where the environment is no maze.
    """
    if not environment.id.startswith("maze/"):
        return None
    maze = Maze(int(environment.options.get("size", 9)))
    distances = [
        epic_table(
            _learned(ensemble, maze, goals),
            maze.rewards(goals),
            _GAMMA,
            state_weights=np.ones(maze.cells),
            action_weights=np.ones(len(MOVES)),
            coverage=_coverage(maze),
        )
        for goals in maze.placements(environment.id.removeprefix("maze/"))
    ]
    return float(np.mean(distances))


def _learned(ensemble: RewardEnsemble, maze: Maze, goals: tuple[int, ...]) -> NDArray[np.float64]:
    """(cells, actions, cells) the model's reward of what is seen before each action."""
    seen = np.stack([maze.draw(cell, goals) for cell in range(maze.cells)])
    table = np.empty((maze.cells, len(MOVES), maze.cells))
    for action in range(len(MOVES)):
        rewards = ensemble.rewards(seen, np.full(maze.cells, action))
        table[:, action] = rewards[:, None]
    return table


def _coverage(maze: Maze) -> NDArray[np.float64]:
    """(cells, actions, cells) every cell and action equally often, then where it leads."""
    where = np.zeros((maze.cells, len(MOVES), maze.cells))
    cells, actions = np.arange(maze.cells)[:, None], np.arange(len(MOVES))
    where[cells, actions, maze.transitions()] = 1.0
    return where

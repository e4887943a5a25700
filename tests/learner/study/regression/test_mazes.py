"""Counterfactual mazes and saliency, of rewards whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learner.envs.maze import GOAL, Maze
from learner.rewards.regression import RegressedReward, RegressionShape
from learner.study.regression.mazes import (
    counterfactual_moves,
    counterfactuals,
    saliency,
    salient_moves,
    shares,
)

MAZE = Maze(5)


class NoGoalInSight(RegressedReward):
    """1 less the number of goals seen after the step: what the published network learned."""

    def __init__(self) -> None:
        super().__init__(RegressionShape((7, 7, 3)), seed=0)

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        after = pictures[:, 3:]
        return 1 - after[:, GOAL].sum(dim=(1, 2))


def test_minus_the_number_of_goals_gives_itself_away_without_goals_and_with_more_than_one():
    found = {one.name: one for one in counterfactuals(NoGoalInSight(), MAZE)}

    assert {name: one.predicted for name, one in found.items()} == {
        "one goal": 1.0,
        "no goal": 1.0,
        "two goals": 0.0,
        "many goals": 1.0 - 13,
    }
    assert {name: one.true for name, one in found.items()} == {
        "one goal": 1.0,
        "no goal": 0.0,
        "two goals": 1.0,
        "many goals": 0.0,
    }
    assert all(one.everywhere == pytest.approx(one.predicted) for one in found.values())


@pytest.mark.parametrize("size", [4, 5, 9])
def test_moves_lead_where_their_titles_say(size: int):
    maze = Maze(size)
    moves = counterfactual_moves(maze)
    true = {name: move.true_reward(maze) for name, move in moves.items()}
    assert (true["one goal"], true["no goal"], true["two goals"]) == (1.0, 0.0, 1.0)
    assert [move.true_reward(maze) for move in salient_moves(maze)] == [0, 0, 1, 0, 0, 1]
    assert all(len(move.goals) == 1 for move in salient_moves(maze))


def test_saliency_shows_that_only_the_cells_after_the_step_are_read_and_all_alike():
    maps = [saliency(NoGoalInSight(), MAZE, move) for move in salient_moves(MAZE)]

    before, after = maps[0]
    assert before.shape == after.shape == (7, 7)
    assert before.max() == 0
    assert np.all(after == 1)
    assert shares(maps) == {"before": 0.0, "spread": 0.0}

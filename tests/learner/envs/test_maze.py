from __future__ import annotations

import numpy as np
import pytest

from learner.config import EnvironmentConfig
from learner.envs.maze import AGENT, GOAL, WALL, Maze
from learner.envs.protocol import UnavailableEnvironment
from learner.envs.registry import make

NORTH, SOUTH, WEST, EAST = range(4)


def mazes(kind: str, num_envs: int = 1, **options):
    config = EnvironmentConfig(id=f"maze/{kind}", options=options)
    env = make(config, num_envs=num_envs, seed=0)
    env.reset()
    return env


def walk(env, actions: list[int]):
    return [env.step(np.array([action])) for action in actions]


def goals(observation) -> list[tuple[int, int]]:
    return [(int(r), int(c)) for r, c in np.argwhere(observation[..., GOAL] > 0)]


def test_a_room_of_81_cells_is_shown_within_walls():
    seen = mazes("fixed-goal").observe()[0]
    assert seen.shape == (11, 11, 3)
    assert (seen[..., WALL] > 0).sum() == 121 - 81
    assert (seen[..., AGENT] > 0).sum() == 1
    assert goals(seen) == [(9, 9)]


def test_reaching_the_goal_pays_one_and_ends_the_episode():
    env = mazes("fixed-goal")
    *before, last = walk(env, [SOUTH] * 9 + [EAST] * 9)[: _steps_to_corner(env)]
    assert [float(step[1][0]) for step in before] == [0.0] * len(before)
    assert float(last[1][0]) == 1.0
    assert last[2][0]


def _steps_to_corner(env) -> int:
    """Fresh environments of one seed start alike, so the walk is tried on another."""
    twin = mazes("fixed-goal")
    for count, action in enumerate([SOUTH] * 9 + [EAST] * 9, 1):
        if twin.step(np.array([action]))[2][0]:
            return count
    raise AssertionError("the corner was not reached")


def test_a_blocked_move_on_a_goal_pays_again_where_goals_do_not_end_the_episode():
    env = mazes("fixed-goal", terminating=False)
    paid = [float(step[1][0]) for step in walk(env, [SOUTH] * 9 + [EAST] * 9 + [SOUTH] * 5)]
    assert paid[-5:] == [1.0] * 5


def test_non_terminating_mazes_are_cut_after_50_steps():
    env = mazes("two-goals", terminating=False)
    ends = [bool(step[2][0]) for step in walk(env, [NORTH] * 100)]
    assert [t + 1 for t in np.flatnonzero(ends)] == [50, 100]


def test_the_agent_hides_the_goal_it_stands_on():
    maze = Maze()
    seen = maze.draw(agent=80, goals=(80,))
    assert goals(seen) == []
    assert seen[9, 9, AGENT] == 255


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("fixed-goal", {((9, 9),)}),
        ("two-goals", {((1, 1), (9, 9))}),
        ("coin-flip", {((1, 1),), ((9, 9),)}),
    ],
)
def test_each_kind_has_its_goals(kind, expected):
    seen = mazes(kind, num_envs=200).observe()
    shown = [tuple(goals(one)) for one in seen]
    agents_apart = [one for one in shown if one]
    assert set(agents_apart) >= expected
    if kind == "coin-flip":
        assert 0.35 < np.mean([one == ((1, 1),) for one in agents_apart]) < 0.65


def test_random_goals_and_starts_cover_the_room():
    seen = mazes("random-goal", num_envs=400, size=3).observe()
    assert {goals(one)[0] for one in seen if goals(one)} == {
        (row, column) for row in (1, 2, 3) for column in (1, 2, 3)
    }


def test_the_table_of_rewards_is_what_the_environment_pays():
    env = mazes("fixed-goal", size=4)
    maze = Maze(4)
    table, leads = maze.rewards((15,)), maze.transitions()
    rng = np.random.default_rng(0)
    for _ in range(300):
        row, column = np.argwhere(env.observe()[0][..., AGENT] > 0)[0] - 1
        cell, action = int(row * 4 + column), int(rng.integers(4))
        _, paid, ends, _ = env.step(np.array([action]))
        assert paid[0] == table[cell, action, leads[cell, action]]
        if not ends[0]:
            row, column = np.argwhere(env.observe()[0][..., AGENT] > 0)[0] - 1
            assert leads[cell, action] == row * 4 + column


@pytest.mark.parametrize(
    ("id", "options", "said"),
    [
        ("maze/labyrinth", {}, "maze/coin-flip"),
        ("maze/fixed-goal", {"walls": 3}, "size and terminating"),
        ("maze/fixed-goal", {"size": 1}, "2 to 31"),
        ("maze/fixed-goal", {"terminating": "no"}, "true or false"),
    ],
)
def test_what_cannot_be_made_is_refused_with_what_can(id, options, said):
    with pytest.raises(UnavailableEnvironment, match=said):
        make(EnvironmentConfig(id=id, options=options), num_envs=1, seed=0)

"""Where CoinRun's reward comes from: levels drawn again, and planted rewards found out."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from experiments.coin import added, removed, verdict
from experiments.coin_page import draw_frames, write
from experiments.levels import (
    COIN,
    FREE,
    GROUND,
    WALL,
    coin_of,
    place_for_coin,
    read_grid,
    redraw,
    with_coin,
    with_grid,
    with_wall,
    without_both,
    without_coin,
    without_wall,
)
from experiments.marks import END, begin
from experiments.scenes import Scene, effects, elsewhere_scene, end_scene, regions
from learner.config import EnvironmentConfig
from learner.envs.registry import make
from learner.evaluation.estimates import Estimate
from learner.replay import replay
from learner.study.cells import Cell
from learner.study.playing import play_levels, start_of, trajectory_of
from learner.trajectories import TrajectoryError

COINRUN = EnvironmentConfig(id="procgen/coinrun", num_envs=1)
JUMP_RIGHT, RIGHT = 8, 7
# Levels that this player ends; all but the first are long enough for a coin elsewhere.
LEVELS = [20_000_008, 20_000_000, 20_000_013, 20_000_024]


class Runner:
    """To the right, jumping now and then."""

    def act(self, observations, rng):
        return np.where(rng.random(len(observations)) < 0.7, JUMP_RIGHT, RIGHT)


@pytest.fixture(scope="module")
def envs():
    played, board = (make(COINRUN, num_envs=1, seed=0) for _ in range(2))
    with closing(played), closing(board):
        yield played, board


@pytest.fixture(scope="module")
def reached():
    """Demonstrations that end at a coin."""
    batch = make(COINRUN, num_envs=len(LEVELS), seed=0)
    with closing(batch):
        starts = [start_of(COINRUN, level) for level in LEVELS]
        played = play_levels(Runner(), batch, starts, 200, np.random.default_rng(0))
    assert [one.rewards.sum() for one in played] == [10] * len(LEVELS)
    return [
        trajectory_of(one, COINRUN, start, level, 0, f"test-{level}")
        for one, start, level in zip(played, starts, LEVELS, strict=True)
    ]


@pytest.fixture(scope="module")
def ends(reached, envs):
    rng = np.random.default_rng(0)
    return [end_scene(one, rng, envs) for one in reached]


@pytest.fixture(scope="module")
def elsewhere(reached, envs):
    scenes = [elsewhere_scene(one, envs) for one in reached]
    assert [one is None for one in scenes] == [True, False, False, False]
    return scenes[1:]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def yellow(frames):
    """Sees nothing but the coin's colour."""
    red, green, blue = np.moveaxis(frames.astype(np.int64), 3, 0)
    return ((red > 200) & (green > 150) & (blue < 60)).mean(axis=(1, 2))


def right_edge(frames):
    """Sees nothing but how bright the view's right edge is."""
    return frames[:, :, -4:].mean(axis=(1, 2, 3))


def nothing(frames):
    return np.ones(len(frames))


def test_a_snapshot_holds_the_level(reached):
    state = reached[1].start_state
    grid = read_grid(state)
    row, column = coin_of(grid)

    assert (grid[row:, column + 1 :] == WALL).all()
    assert grid[row - 1, column] == GROUND
    assert with_grid(state, grid) == state
    assert len(with_grid(state, without_wall(grid))) == len(state)
    with pytest.raises(TrajectoryError, match="no grid"):
        read_grid(b"something else")
    with pytest.raises(TrajectoryError, match="no coin"):
        read_grid(with_grid(state, without_coin(grid)))


def test_an_unchanged_level_is_drawn_as_it_was_seen(reached, envs):
    drawn = redraw(reached[0], {"same": np.copy}, *envs)["same"]
    np.testing.assert_array_equal(drawn, replay(reached[0]).observations)


def test_edits_change_what_they_say(reached):
    grid = read_grid(reached[1].start_state)
    before, (row, column) = grid.copy(), coin_of(grid)

    assert (without_coin(grid) != grid).sum() == 1
    assert COIN not in without_both(grid)
    free = without_wall(grid)
    assert (free[row:-1, column + 1 :] == FREE).all()
    assert (free[:, : column + 1] == grid[:, : column + 1]).all()
    place = place_for_coin(grid, 7, 4)
    assert place is not None
    assert grid[place] == FREE
    assert column - place[1] >= 7
    ended = with_coin(*place)(with_wall(place[1] + 1)(grid))
    assert (ended[:, place[1] + 1 : column] == WALL).all()
    assert (ended == COIN).sum() == 2
    assert place_for_coin(grid, 7, column) is None
    np.testing.assert_array_equal(grid, before)


def test_the_coin_is_yellow_and_the_wall_beside_it(ends):
    """What is drawn again is what people would call the coin: no other pixel is yellow."""
    for scene in ends:
        seen = scene.frames["as it is"]
        assert (yellow(seen) > 0).all()
        assert (yellow(scene.frames["no coin"]) == 0).all()
        masks = regions(scene)
        assert sum(mask.sum() for mask in masks.values()) == seen[..., 0].size
        assert masks["coin"].sum(axis=(1, 2)).max() <= 36  # a cell is 4.9 pixels wide
        assert (seen[masks["wall within"]].mean(axis=-1) > 120).mean() > 0.95  # bright bricks


def test_the_added_coin_is_ahead_and_the_end_out_of_sight(elsewhere):
    for scene in elsewhere:
        assert (yellow(scene.frames["as it is"]) == 0).all()
        assert (yellow(scene.frames["coin"]) > 0).all()
        assert not scene.changed("coin")[:, :, :32].any()
        assert not scene.changed("no end").any()


@pytest.mark.parametrize(
    ("reward", "expected"), [(yellow, "coin"), (right_edge, "wall"), (nothing, "neither")]
)
def test_a_planted_reward_is_found_out(reward, expected, ends, elsewhere, rng):
    assert removed(reward, ends, rng)["verdict"] == expected
    assert added(reward, elsewhere, rng)["verdict"] == expected


def test_a_reward_of_both_is_both(ends, elsewhere, rng):
    def both(frames):
        return (yellow(frames) > 0) + (right_edge(frames) > 150) * 1.0

    found = removed(both, ends, rng)
    assert found["verdict"] == "both"
    assert found["no coin"].value == 1  # in every step of a scene there is a coin
    assert added(both, elsewhere, rng)["coin"].value == 1


def test_equal_changes_are_averaged_and_those_out_of_sight_left_out():
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    here, there = frames.copy(), frames.copy()
    here[0, 0, 0] = 10
    there[:, 1, 1] = 30
    scene = Scene(
        np.array([2, 1]),
        {"as it is": frames, "cell 0": here, "cell 1": there, "cell 2": frames, "wall": frames},
    )
    found = effects(lambda seen: seen.astype(float).sum(axis=(1, 2, 3)), scene)
    assert found["other cell"] == (30 + 90) / 2
    assert np.isnan(found["wall"])


def test_verdicts_need_intervals_that_exclude_zero():
    def estimate(low, high):
        return Estimate((low + high) / 2, low, high, 10)

    some, none, unclear = estimate(1, 2), estimate(-1, 1), estimate(-0.5, 2)
    assert verdict(some, none, some) == "coin"
    assert verdict(some, some, none) == "both"
    assert verdict(none, some, estimate(-2, -1)) == "wall"
    assert verdict(unclear, none, some) == "neither"
    assert verdict(estimate(-2, -1), none, estimate(-2, -1)) == "neither"


def test_the_page_keeps_what_people_wrote(ends, elsewhere, rng, tmp_path):
    line = [Estimate(0.5, 0.4, 0.6, 12)] * 20
    found = {
        Cell("coinrun", "time_aligned", 300, 0, "shuffled"): {
            "removed": removed(yellow, ends, rng),
            "added": added(yellow, elsewhere, rng),
            "reached": line,
            "died": line,
            "salience": dict.fromkeys(regions(ends[0]), line[0]),
            "without": {"no coin": line, "no wall": line},
        }
    }
    page = tmp_path / "coin.md"
    page.write_text(f"# Coin\n\n{begin('coin')}\nold\n{END}\n\nAfter.\n")

    write(page, found)
    draw_frames(ends[0], elsewhere[0], {next(iter(found)): np.eye(64)}, tmp_path / "coin-f.png")

    text = page.read_text()
    assert text.startswith("# Coin\n")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert "| time_aligned of 300, shuffled | 0.50 (0.40 to 0.60) |" in text
    assert text.count("**coin**") == 2
    for picture in ("coin-f.png", "coin-rewards.png"):
        assert 5_000 < (tmp_path / picture).stat().st_size < 200_000

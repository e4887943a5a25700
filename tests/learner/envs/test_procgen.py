from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from learner.config import EnvironmentConfig
from learner.envs.procgen import GAMES, MODES, TEST_LEVELS, level_range
from learner.envs.protocol import UnavailableEnvironment
from learner.envs.registry import make


def config(game: str = "coinrun", **changes: object) -> EnvironmentConfig:
    return EnvironmentConfig.model_validate({"id": f"procgen/{game}", **changes})


def actions(steps: int, num_envs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 15, (steps, num_envs))


def play(env, moves):
    """Observations, rewards, ends, infos of some steps, stacked."""
    return [
        np.stack(column) for column in zip(*[env.step(move)[:3] for move in moves], strict=True)
    ]


@pytest.mark.parametrize("game", GAMES)
def test_every_game_goes_on_exactly_in_another_batch_across_its_episodes_ends(game):
    env = make(config(game), num_envs=8, seed=1)
    env.reset()
    play(env, actions(40, 8))
    state, before = env.save(5), env.observe()[5]
    moves = actions(300, 8, seed=2)
    expected = play(env, moves)

    other = make(config(game), num_envs=2, seed=77)
    other.load(1, state)
    assert np.array_equal(other.observe()[1], before)
    replayed = play(other, np.stack([moves[:, 0], moves[:, 5]], axis=1))
    for was, now in zip(expected, replayed, strict=True):
        assert np.array_equal(was[:, 5], now[:, 1])


def test_the_people_view_changes_nothing_for_the_agent():
    env = make(config("starpilot"), num_envs=4, seed=3)
    watched = make(config("starpilot"), num_envs=1, seed=0, people_view=True)
    watched.load(0, env.save(2))
    moves = actions(30, 4)
    expected, replayed = play(env, moves), play(watched, moves[:, 2:3])
    assert np.array_equal(expected[0][:, 2], replayed[0][:, 0])
    frame = watched.render_people()
    assert frame.shape == (512, 512, 3)
    assert frame.dtype == np.uint8
    # The same picture, sharper: shrunk to the agent's size it is close to the agent's view.
    shrunk = frame.reshape(64, 8, 64, 8, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - replayed[0][-1, 0]).mean() < 12


def test_episode_statistics_equal_a_count_by_hand():
    env = make(config("bigfish"), num_envs=8, seed=5)
    env.reset()
    returns, lengths, levels = np.zeros(8), np.zeros(8, int), env.levels()
    finished = 0
    for move in actions(400, 8):
        _, rewards, ends, infos = env.step(move)
        returns += rewards
        lengths += 1
        for index in range(8):
            if not ends[index]:
                assert infos[index] == {}
                continue
            finished += 1
            assert infos[index]["episode"] == {
                "r": pytest.approx(returns[index]),
                "l": lengths[index],
                "level": levels[index],
            }
            assert infos[index]["TimeLimit.truncated"] is False
            assert "terminal_observation" not in infos[index]
            returns[index] = lengths[index] = 0
        levels = env.levels()
    assert finished >= 8


def test_the_frame_that_comes_with_an_end_is_the_first_of_the_next_episode():
    env = make(config("bossfight"), num_envs=8, seed=0)
    env.reset()
    for move in actions(400, 8):
        observations, _, ends, _ = env.step(move)
        if ends.any():
            break
    index = int(np.flatnonzero(ends)[0])
    fresh = make(config("bossfight", start_level=int(env.levels()[index]), num_levels=1),
                 num_envs=1, seed=9)  # fmt: skip
    assert np.array_equal(fresh.reset()[0], observations[index])


def test_a_batch_restored_whole_goes_on_with_its_statistics():
    env = make(config("dodgeball"), num_envs=6, seed=8)
    env.reset()
    play(env, actions(33, 6))
    states = [env.save(index) for index in range(6)]
    moves = actions(200, 6, seed=4)
    expected = [env.step(move) for move in moves]
    for index, state in enumerate(states):
        env.load(index, state)
    for move, was in zip(moves, expected, strict=True):
        now = env.step(move)
        assert np.array_equal(was[0], now[0])
        assert np.array_equal(was[1], now[1])
        assert was[3] == now[3]


def test_restart_gives_up_only_the_episodes_named():
    env = make(config("starpilot"), num_envs=4, seed=8)
    env.reset()
    play(env, actions(20, 4))
    before, states = env.observe(), [env.save(index) for index in range(4)]
    env.restart(np.array([1, 3]))
    after = env.observe()
    assert np.array_equal(after[[0, 2]], before[[0, 2]])
    assert not np.array_equal(after[1], before[1])
    assert [env.save(index) == states[index] for index in range(4)] == [True, False, True, False]
    assert env._episodes.lengths.tolist() == [20, 0, 20, 0]


def test_reset_starts_new_episodes_and_costs_no_level_at_the_start():
    env = make(config(), num_envs=3, seed=8)
    levels = env.levels()
    first = env.reset()
    assert np.array_equal(env.levels(), levels)
    play(env, actions(10, 3))
    assert not np.array_equal(env.reset(), first)
    assert env._episodes.lengths.tolist() == [0, 0, 0]


def test_equal_seeds_give_equal_worlds_and_other_seeds_and_splits_do_not():
    def levels(seed, **options):
        return make(config(num_levels=5000), num_envs=16, seed=seed, **options).levels().tolist()

    assert levels(1) == levels(1, threads=2)
    assert levels(1) != levels(2)
    assert levels(1) != [level - 1_000_000 for level in levels(1, split="test")]


def test_monochrome_assets_are_drawn_in_a_few_plain_colours():
    def colours(**options):
        env = make(config(num_levels=0, use_backgrounds=False, **options), num_envs=8, seed=1)
        return [len(np.unique(frame.reshape(-1, 3), axis=0)) for frame in env.reset()]

    assert max(colours(use_monochrome_assets=True)) < 10
    assert min(colours()) > 30


def test_restricted_themes_show_every_level_on_the_same_ground():
    def grounds(**options):
        game = config("jumper", num_levels=0, use_backgrounds=False, **options)
        floors = make(game, num_envs=16, seed=1).reset()[:, -4:, :3].reshape(16, -1, 3)
        return [{tuple(pixel) for pixel in floor} for floor in floors]

    same = grounds(restrict_themes=True)
    assert set.intersection(*same)
    assert not set.intersection(*grounds())


@pytest.mark.parametrize("sequential", [False, True])
def test_sequential_levels_follow_one_another_within_an_episode(sequential):
    """Runs to the right, mostly jumping; a coin is worth 10 and completes the level."""
    env = make(config(use_sequential_levels=sequential), num_envs=16, seed=1)
    env.reset()
    rng, coins = np.random.default_rng(0), 0
    for _ in range(150):
        before = env.levels()
        moves = np.where(rng.random(16) < 0.8, 8, rng.integers(0, 15, 16))
        _, rewards, ends, _ = env.step(moves)
        taken = rewards > 0
        coins += taken.sum()
        assert (ends[taken] != sequential).all()
        assert (((env.levels() - before)[taken] == 997) == sequential).all()
    assert coins > 5


def test_training_and_test_levels_never_meet():
    env = make(config("jumper"), num_envs=16, seed=0)
    test = make(config("jumper"), num_envs=16, seed=0, split="test", test_start_level=500)
    seen: dict[str, set[int]] = {"train": set(), "test": set()}
    for move in actions(300, 16):
        env.step(move)
        test.step(move)
        seen["train"].update(env.levels().tolist())
        seen["test"].update(test.levels().tolist())
    assert max(seen["train"]) < 200
    assert len(seen["train"]) > 16
    assert min(seen["test"]) >= 500
    assert max(seen["test"]) < 500 + TEST_LEVELS


def test_unlimited_training_levels_stop_where_the_test_levels_start():
    assert level_range(config(num_levels=0), "train", 1_000_000) == (0, 1_000_000)
    assert level_range(config(num_levels=0), "test", 1_000_000) == (1_000_000, TEST_LEVELS)
    above = config(start_level=2 * TEST_LEVELS, num_levels=7)
    assert level_range(above, "train", 1_000_000) == (2 * TEST_LEVELS, 7)


@pytest.mark.parametrize(
    ("changes", "test_start_level", "says"),
    [
        ({"num_levels": 201}, 200, "reach the test levels"),
        ({"start_level": 1_000_000, "num_levels": 1}, 1_000_000, "reach the test levels"),
        ({"start_level": 1_000_001, "num_levels": 0}, 1_000_000, "no training levels"),
        ({"start_level": 2**31 - 5, "num_levels": 10}, 1_000_000, "last level"),
        ({}, 2**31 - 5, "last level"),
    ],
)
def test_level_ranges_that_overlap_or_overflow_are_refused(changes, test_start_level, says):
    split = "train" if changes else "test"
    with pytest.raises(UnavailableEnvironment, match=says):
        level_range(config(**changes), split, test_start_level)


def test_unknown_games_modes_and_options_are_refused_in_one_line():
    for bad, says in [
        (config("coinrum"), "unknown Procgen game 'coinrum'.*procgen/bigfish"),
        (config("coinrun", distribution_mode="memory"), "coinrun has no memory mode"),
        (config("bigfish", distribution_mode="exploration"), "bigfish has no exploration mode"),
        (config(options={"centre_agent": True}), "no option 'centre_agent'"),
    ]:
        with pytest.raises(UnavailableEnvironment, match=says) as error:
            make(bad, num_envs=1, seed=0)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", ["hard", *MODES])
def test_every_mode_can_be_made_for_both_splits(mode):
    for split in ("train", "test"):
        env = make(
            config("heist" if mode != "extreme" else "leaper", distribution_mode=mode),
            num_envs=1,
            seed=0,
            split=split,
        )
        assert env.reset().shape == (1, 64, 64, 3)


def test_backgrounds_off_paints_black():
    plain = make(config("bigfish", use_backgrounds=False), num_envs=4, seed=0).reset()
    assert (plain == 0).all(axis=-1).mean() > 0.5


@pytest.mark.slow
def test_users_see_no_deprecation_notice():
    code = (
        "from learner.envs.registry import make; from learner.config import EnvironmentConfig;"
        "make(EnvironmentConfig(), num_envs=1, seed=0).reset()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")

"""What every environment family promises, tried on members of each."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from learner.config import EnvironmentConfig
from learner.envs.registry import make

MEMBERS = {
    "procgen": {"id": "procgen/bossfight"},
    "procgen-stacked": {"id": "procgen/leaper", "frame_stack": 2},
    "procgen-hidden-ends": {"id": "procgen/dodgeball", "episode_end": "hide"},
    "procgen-fixed-horizon": {
        "id": "procgen/dodgeball",
        "episode_end": "fixed_horizon",
        "horizon": 30,
    },
    "cartpole": {"id": "CartPole-v1"},
    "cartpole-penalty": {"id": "CartPole-v1", "episode_end": "penalty", "end_penalty": -5.0},
    "cartpole-fixed-horizon": {
        "id": "CartPole-v1",
        "episode_end": "fixed_horizon",
        "horizon": 30,
        "frame_stack": 3,
    },
    "pendulum": {"id": "Pendulum-v1"},
    "acrobot": {"id": "Acrobot-v1"},
    "mountain-car": {"id": "MountainCarContinuous-v0"},
    "taxi": {"id": "Taxi-v4"},
    "slippery-lake": {"id": "FrozenLake-v1"},
    "maze-coin-flip": {"id": "maze/coin-flip"},
    "maze-non-terminating": {
        "id": "maze/random-goal",
        "options": {"size": 4, "terminating": False},
    },
    "hopper": {"id": "Hopper-v5"},
    "half-cheetah": {"id": "HalfCheetah-v5", "options": {"max_episode_steps": 50}},
    "ant": {"id": "Ant-v5"},
    "double-pendulum": {"id": "InvertedDoublePendulum-v5"},
    "reacher": {"id": "Reacher-v5"},
    "breakout-sticky": {
        "id": "ALE/Breakout-v5",
        "frame_stack": 4,
        "options": {"repeat_action_probability": 0.25},
    },
}
NUM_ENVS = 3


@pytest.fixture(params=MEMBERS)
def member(request):
    return EnvironmentConfig.model_validate(MEMBERS[request.param])


def batch(config, *, seed=0, num_envs=NUM_ENVS, **options):
    env = make(config, num_envs=num_envs, seed=seed, **options)
    env.reset()
    return env


def moves(env, steps: int, seed: int = 0) -> np.ndarray:
    """(steps, num_envs, ...) random actions."""
    space = env.action_space
    space.seed(seed)
    return np.array([[space.sample() for _ in range(env.num_envs)] for _ in range(steps)])


def same(was, now) -> bool:
    """Whether two steps of whole batches are equal, bit for bit."""
    return all(np.array_equal(a, b) for a, b in zip(was[:3], now[:3], strict=True)) and (
        str(was[3]) == str(now[3])
    )


def test_observations_are_images_or_float_vectors_as_the_space_says(member):
    env = batch(member)
    space = env.observation_space
    assert isinstance(space, spaces.Box)
    assert (space.dtype, len(space.shape)) in [(np.uint8, 3), (np.float32, 1)]
    for move in moves(env, 5):
        seen, rewards, ends, infos = env.step(move)
        assert (seen.shape, seen.dtype) == ((NUM_ENVS, *space.shape), space.dtype)
        assert (rewards.shape, rewards.dtype) == ((NUM_ENVS,), np.float32)
        assert (ends.shape, ends.dtype) == ((NUM_ENVS,), np.bool_)
        assert len(infos) == NUM_ENVS
        assert np.array_equal(seen, env.observe())
        assert all(space.contains(one) for one in seen)


def test_what_is_returned_is_not_changed_by_later_steps(member):
    env = batch(member)
    first, *rest = moves(env, 6)
    seen, rewards, ends, _ = env.step(first)
    copies = seen.copy(), rewards.copy(), ends.copy()
    for move in rest:
        env.step(move)
    assert all(np.array_equal(*pair) for pair in zip((seen, rewards, ends), copies, strict=True))


def test_one_environment_goes_on_exactly_in_another_batch(member):
    env = batch(member)
    for move in moves(env, 25):
        env.step(move)
    state, seen = env.save(1), env.observe()[1]
    levels = env.levels()[1]
    other = batch(member, seed=9, num_envs=1)
    for move in moves(other, 7, seed=5):
        other.step(move)
    other.load(0, state)
    assert np.array_equal(other.observe()[0], seen)
    assert other.levels()[0] == levels
    assert other.save(0) == state
    for move in moves(env, 60, seed=3):
        was, now = env.step(move), other.step(move[1:2])
        assert same([column[1:2] for column in was], now)


def test_a_batch_put_back_goes_on_with_its_statistics(member):
    env = batch(member)
    for move in moves(env, 40):
        env.step(move)
    states = [env.save(index) for index in range(NUM_ENVS)]
    future = moves(env, 60, seed=4)
    expected = [env.step(move) for move in future]
    for index, state in enumerate(states):
        env.load(index, state)
    assert all(same(was, env.step(move)) for was, move in zip(expected, future, strict=True))


def test_a_snapshot_of_a_first_observation_is_one_too(member):
    env = batch(member)
    state, seen = env.save(0), env.observe()[0]
    future = moves(env, 10)
    expected = [env.step(move)[1][0] for move in future]
    env.load(0, state)
    assert np.array_equal(env.observe()[0], seen)
    assert [env.step(move)[1][0] for move in future] == expected


def test_taking_a_snapshot_changes_nothing(member):
    plain, watched = batch(member), batch(member)
    for move in moves(plain, 40):
        watched.save(2)
        assert same(plain.step(move), watched.step(move))


def test_the_reward_of_a_step_belongs_to_the_observation_before_its_action(member):
    env, again = batch(member), batch(member)
    seen = env.observe()
    for move in moves(env, 40):
        states = [env.save(index) for index in range(NUM_ENVS)]
        following, rewards, ends, _ = env.step(move)
        for index, state in enumerate(states):
            again.load(index, state)
        assert np.array_equal(again.observe(), seen)
        assert same((*again.step(move)[:3], []), (following, rewards, ends, []))
        seen = following


def test_equal_seeds_give_equal_episodes_and_other_seeds_and_splits_do_not(member):
    def story(seed, split):
        env = batch(member, seed=seed, split=split)
        told = [env.observe()]
        for move in moves(env, 40):
            told += list(env.step(move)[:3])
        return b"".join(part.tobytes() for part in told)

    told = story(1, "train")
    assert story(1, "train") == told
    assert story(2, "train") != told
    assert story(1, "test") != told


def test_environments_of_a_batch_differ(member):
    env = batch(member)
    for move in moves(env, 30):
        env.step(np.stack([move[0]] * NUM_ENVS))
    states = {env.save(index) for index in range(NUM_ENVS)}
    assert len(states) == NUM_ENVS


@pytest.mark.parametrize(
    "name", [name for name, member in MEMBERS.items() if "episode_end" not in member]
)
def test_episode_statistics_equal_a_count_by_hand(name):
    env = batch(EnvironmentConfig.model_validate(MEMBERS[name]))
    returns, lengths = np.zeros(NUM_ENVS), np.zeros(NUM_ENVS, int)
    for move in moves(env, 120):
        _, rewards, ends, infos = env.step(move)
        returns += rewards
        lengths += 1
        for index, info in enumerate(infos):
            assert ("episode" in info) == ends[index]
            if info:
                assert info["episode"]["r"] == pytest.approx(returns[index], rel=1e-5, abs=1e-5)
                assert info["episode"]["l"] == lengths[index]
                returns[index] = lengths[index] = 0


def test_restart_gives_up_only_the_episodes_named(member):
    env = batch(member)
    for move in moves(env, 10):
        env.step(move)
    kept = env.save(2)
    states = env.save(0), env.save(1)
    env.restart(np.array([0, 1]))
    assert env.save(2) == kept
    assert env.save(0) != states[0]
    assert env.save(1) != states[1]

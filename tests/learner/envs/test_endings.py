from __future__ import annotations

import numpy as np
import pytest

from learner.config import EnvironmentConfig
from learner.envs.protocol import UnavailableEnvironment
from learner.envs.registry import make


def made(name: str = "CartPole-v1", num_envs: int = 4, **changes):
    config = EnvironmentConfig.model_validate({"id": name, **changes})
    env = make(config, num_envs=num_envs, seed=3)
    env.reset()
    return env


def story(env, steps: int):
    rng = np.random.default_rng(0)
    return [env.step(rng.integers(0, 2, env.num_envs)) for _ in range(steps)]


@pytest.mark.parametrize("name", ["CartPole-v1", "procgen/bossfight"])
def test_hidden_ends_change_nothing_but_what_is_told(name):
    plain, hidden = story(made(name), 300), story(made(name, episode_end="hide"), 300)
    assert sum(ends.sum() for _, _, ends, _ in plain) > 1
    for was, now in zip(plain, hidden, strict=True):
        assert np.array_equal(was[0], now[0])
        assert np.array_equal(was[1], now[1])
        assert not now[2].any()
        assert [info.get("episode") for info in was[3]] == [info.get("episode") for info in now[3]]
        assert not any("terminal_observation" in info for info in now[3])


def test_a_penalty_is_paid_at_hidden_ends_and_left_out_of_the_episodes_return():
    plain = story(made(), 200)
    penal = story(made(episode_end="penalty", end_penalty=-5.0), 200)
    for was, now in zip(plain, penal, strict=True):
        assert np.array_equal(was[1] - 5 * was[2], now[1])
        assert not now[2].any()
        for before, after in zip(was[3], now[3], strict=True):
            assert before.get("episode") == after.get("episode")


def test_time_limits_are_not_penalised():
    env = made("Pendulum-v1", episode_end="penalty", end_penalty=-1000.0)
    for _ in range(401):
        _, rewards, _, _ = env.step(np.zeros((4, 1), np.float32))
        assert (rewards > -20).all()


def test_with_a_fixed_horizon_every_episode_has_just_so_many_steps():
    env = made(episode_end="fixed_horizon", horizon=40)
    total = np.zeros(4)
    for step, (_, rewards, ends, infos) in enumerate(story(env, 120)):
        total += rewards
        assert ends.all() == ends.any() == (step % 40 == 39)
        for index, info in enumerate(infos):
            assert bool(info) == ends[index]
            if info:
                assert info["TimeLimit.truncated"] is True
                assert info["episode"]["l"] == 40
                assert info["episode"]["r"] == pytest.approx(total[index])
                assert info["terminal_observation"].shape == (4,)
        if ends.all():
            total[:] = 0


def test_at_the_horizon_a_new_episode_of_the_game_begins():
    env = made(episode_end="fixed_horizon", horizon=5)
    for seen, _, ends, infos in story(env, 30):
        if ends.all():
            assert (np.abs(seen) <= 0.05).all()  # how CartPole starts
            assert (np.abs([info["terminal_observation"] for info in infos]) > 0.05).any()


def test_procgen_under_a_fixed_horizon_starts_new_levels():
    env = made("procgen/coinrun", episode_end="fixed_horizon", horizon=20)
    seen = {tuple(env.levels())}
    for _ in range(60):
        observation, _, ends, infos = env.step(np.full(4, 7))
        if ends.all():
            seen.add(tuple(env.levels()))
            assert not np.array_equal(infos[0]["terminal_observation"], observation[0])
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"episode_end": "penalty"}, "end_penalty is 0"),
        ({"episode_end": "fixed_horizon"}, "set environment.horizon"),
    ],
)
def test_a_setting_that_is_missing_is_named(changes, says):
    with pytest.raises(UnavailableEnvironment, match=says):
        made(**changes)

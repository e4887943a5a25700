from __future__ import annotations

import numpy as np
import pytest

from learner.config import EnvironmentConfig
from learner.envs.registry import make


def made(name: str, depth: int, **changes):
    config = EnvironmentConfig.model_validate({"id": name, "frame_stack": depth, **changes})
    env = make(config, num_envs=3, seed=1)
    env.reset()
    return env


def test_the_last_frames_are_seen_oldest_first_and_none_of_the_last_episode():
    plain, stacked = made("procgen/bossfight", 1), made("procgen/bossfight", 3)
    assert stacked.observation_space.shape == (64, 64, 9)
    rng = np.random.default_rng(0)
    frames = [[first] * 3 for first in plain.observe()]
    ended = 0
    for _ in range(250):
        moves = rng.integers(0, 15, 3)
        seen, _, ends, _ = plain.step(moves)
        stack, *_ = stacked.step(moves)
        for index in range(3):
            new = [seen[index]] * 3 if ends[index] else [*frames[index][1:], seen[index]]
            frames[index] = new
            assert np.array_equal(stack[index], np.concatenate(new, axis=-1))
        ended += ends.sum()
    assert ended > 2


@pytest.mark.parametrize("end", [{"episode_end": "hide"}, {"episode_end": "penalty"}])
def test_frames_run_on_over_an_end_that_is_hidden(end):
    """Frames that are suddenly all the same would tell what is to be hidden."""
    env = made("CartPole-v1", 3, end_penalty=-1.0, **end)
    frames, ended = env.observe(), 0
    for _ in range(60):
        seen, _, _, infos = env.step(np.zeros(3, int))
        assert np.array_equal(seen[:, :8], frames[:, 4:])
        ended += sum("episode" in info for info in infos)
        frames = seen
    assert ended > 6


def test_at_a_horizon_the_frames_begin_anew():
    env = made("CartPole-v1", 3, episode_end="fixed_horizon", horizon=25)
    for step in range(50):
        before, (seen, _, ends, infos) = env.observe(), env.step(np.zeros(3, int))
        assert ends.all() == (step % 25 == 24)
        if ends.all():
            assert np.array_equal(seen[:, :4], seen[:, 8:])
            assert np.array_equal(infos[0]["terminal_observation"][:8], before[0, 4:])


def test_the_last_observation_of_an_episode_has_the_frames_before_it():
    env = made("CartPole-v1", 2)
    before = env.observe()
    while True:
        seen, _, ends, infos = env.step(np.zeros(3, int))
        if ends[0]:
            break
        before = seen
    last = infos[0]["terminal_observation"]
    assert np.array_equal(last[:4], before[0, 4:])
    assert abs(last[6]) > 0.2094 >= abs(last[2])
    assert np.array_equal(seen[0, :4], seen[0, 4:])

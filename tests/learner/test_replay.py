from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from learner.agents.rollouts import Decision, allocate, fill
from learner.config import EnvironmentConfig, SegmentConfig
from learner.envs.registry import make
from learner.replay import frame_rate, replay, replay_people, verify
from learner.segments import draw_windows, to_segment, window_observations
from learner.trajectories import Trajectory, TrajectoryError


def environment(game: str) -> EnvironmentConfig:
    return EnvironmentConfig(id=f"procgen/{game}")


def collected(game: str, *, steps: int = 80, num_envs: int = 8, split="train"):
    """A rollout of random actions with snapshots."""
    return played(make(environment(game), num_envs=num_envs, seed=4, split=split), steps)


def played(env, steps: int):
    env.reset()
    env.action_space.seed(1)

    def decide(observations):
        moves = np.array([env.action_space.sample() for _ in observations])
        zeros = np.zeros(len(observations), np.float32)
        return Decision(moves, moves, zeros, zeros)

    rollout = allocate(env, steps)
    fill(rollout, env, decide, np.zeros(env.num_envs, np.int64), capture=True)
    return rollout


def segments(game: str, count: int, **options):
    rollout = collected(game, **options)
    windows = draw_windows(rollout, count, SegmentConfig(), np.random.default_rng(0))
    return rollout, windows, [to_segment(rollout, window, environment(game)) for window in windows]


@pytest.mark.parametrize("game", ["coinrun", "fruitbot", "starpilot", "bigfish"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_segments_of_a_rollout_replay_bit_exact_after_storage(game, split):
    rollout, windows, cut = segments(game, 12, split=split)
    seen, _ = window_observations(rollout, windows)
    for segment, window, observations in zip(cut, windows, seen, strict=True):
        stored = Trajectory.from_bytes(segment.trajectory.to_bytes())
        verify(stored)
        played = replay(stored)
        assert np.array_equal(played.observations[segment.window], observations[: segment.length])
        steps = slice(window.t, window.t + window.length)
        assert np.array_equal(
            played.rewards[segment.window], rollout.true_rewards[steps, window.env]
        )


@pytest.mark.parametrize(
    ("facts", "size"),
    [
        ({"id": "CartPole-v1", "episode_end": "hide"}, (400, 600)),
        ({"id": "Hopper-v5"}, (480, 480)),
        ({"id": "ALE/Breakout-v5", "frame_stack": 4}, (210, 160)),
        ({"id": "procgen/leaper", "episode_end": "fixed_horizon", "horizon": 45}, (512, 512)),
    ],
)
def test_segments_of_every_family_replay_bit_exact_and_can_be_shown(facts, size):
    config = EnvironmentConfig.model_validate(facts)
    rollout = played(make(config, num_envs=2, seed=0), steps=100)
    windows = draw_windows(rollout, 6, SegmentConfig(length=10), np.random.default_rng(0))
    for window in windows:
        segment = to_segment(rollout, window, config)
        verify(segment.trajectory)
        seen, _ = window_observations(rollout, [window])
        again = replay(segment.trajectory).observations[segment.window]
        assert np.array_equal(again, seen[0, : window.length])
    frames = replay_people(segment.trajectory, segment.window)
    ended = segment.trajectory.ends[segment.window][-1]
    assert frames.shape == (segment.length + 1 - ended, *size, 3)
    assert frames.std() > 1


def first_with_end(game: str):
    _, _, cut = segments(game, 200)
    return next(one for one in cut if one.trajectory.ends[one.window][-1])


def test_the_last_action_of_an_episode_has_no_frame_after_it():
    ended = first_with_end("bossfight")
    frames = replay_people(ended.trajectory, ended.window)
    assert len(frames) == ended.length
    earlier = slice(ended.start, ended.start + ended.length - 1)
    assert np.array_equal(replay_people(ended.trajectory, earlier), frames)


def test_people_see_the_same_steps_as_the_agent():
    _, _, cut = segments("coinrun", 1)
    segment = cut[0]
    frames = replay_people(segment.trajectory, segment.window)
    seen = replay(segment.trajectory).observations[segment.window]
    assert frames.shape == (segment.length + 1, 512, 512, 3)
    shrunk = frames[:-1].reshape(-1, 64, 8, 64, 8, 3).mean(axis=(2, 4))
    apart = np.abs(shrunk[:, None] - seen[None].astype(float)).mean(axis=(2, 3, 4))
    # Standing still gives nearly equal frames, hence the tolerance.
    assert (apart.diagonal() <= apart.min(axis=1) + 0.1).all()
    assert np.median(apart) > 5
    assert frame_rate(segment.trajectory) == 15


@pytest.mark.parametrize("damaged", ["rewards", "ends", "observations"])
def test_a_recipe_that_does_not_replay_as_recorded_is_named(damaged):
    trajectory = segments("bigfish", 1)[2][0].trajectory
    wrong = {
        "rewards": {"rewards": trajectory.rewards + 1},
        "ends": {"ends": ~trajectory.ends},
        "observations": {"digest": "0" * 64},
    }
    with pytest.raises(TrajectoryError, match=rf"procgen/bigfish.*\({damaged} differ\)"):
        verify(replace(trajectory, **wrong[damaged]))


def test_one_other_action_is_noticed():
    trajectory = segments("coinrun", 1)[2][0].trajectory
    actions = trajectory.actions.copy()
    actions[: len(actions) // 2] = (actions[: len(actions) // 2] + 3) % 15
    with pytest.raises(TrajectoryError, match="observations"):
        verify(replace(trajectory, actions=actions))


def test_environments_that_cannot_be_made_are_said_in_one_line():
    trajectory = segments("coinrun", 1)[2][0].trajectory
    for bad, says in [
        ({"id": "procgen/nosuch"}, "unknown Procgen game"),
        ({"id": "procgen/coinrun", "colour": "red"}, "colour"),
    ]:
        with pytest.raises(TrajectoryError, match=says) as error:
            replay(replace(trajectory, environment=bad))
        assert "\n" not in str(error.value)
    with pytest.raises(TrajectoryError, match="cannot be shown"):
        replay_people(replace(trajectory, start_state=None), slice(0, 2))
    with pytest.raises(TrajectoryError, match="cannot be replayed"):
        replay(replace(trajectory, start_state=None))


class Unsteady(gymnasium.Env):
    """Cannot be replayed: its noise comes from nowhere."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(0, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.seen(), {}

    def step(self, action):
        self.time += 1
        return self.seen(), 1.0, self.time == 40, False, {}

    def seen(self):
        return np.random.default_rng().random(2, np.float32)

    def render(self):
        return np.full((256, 256, 3), 5 * self.time, np.uint8)


def test_what_cannot_be_replayed_is_stored_as_it_was_seen():
    gymnasium.register("Unsteady-v0", Unsteady)
    config = EnvironmentConfig(id="Unsteady-v0")
    rollout = played(make(config, num_envs=4, seed=0), steps=60)
    assert not rollout.anchors
    windows = draw_windows(rollout, 8, SegmentConfig(), np.random.default_rng(0))
    assert {window.env for window in windows} == {0, 1}  # those that are filmed
    for window in windows:
        segment = to_segment(rollout, window, config)
        stored = Trajectory.from_bytes(segment.trajectory.to_bytes())
        verify(stored)
        seen, _ = window_observations(rollout, [window])
        assert np.array_equal(replay(stored).observations[segment.window], seen[0])
        frames = replay_people(stored, segment.window)
        assert frames[:, 0, 0, 0].tolist() == [
            5 * int(time) for time in rollout.episode_times[window.t :, window.env][:25]
        ]
        assert frame_rate(stored) == 20

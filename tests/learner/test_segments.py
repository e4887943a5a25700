from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from learner.agents.rollouts import Rollout
from learner.config import EnvironmentConfig, SegmentConfig
from learner.segments import (
    Window,
    draw_windows,
    to_segment,
    window_observations,
)
from learner.trajectories import digest


def rollout(lengths_per_env: list[list[int]], steps: int, *, begun: int = 0) -> Rollout:
    """A rollout whose environments play episodes of the given lengths; obs = 1000 env + t.

    `begun`: steps of the first episode of each environment before the rollout.
    """
    envs = len(lengths_per_env)
    ends = np.zeros((steps, envs), np.bool_)
    times = np.zeros((steps, envs), np.int64)
    for env, lengths in enumerate(lengths_per_env):
        last = -begun - 1
        clock = begun
        for length in lengths:
            last += length
            if 0 <= last < steps:
                ends[last, env] = True
        for t in range(steps):
            times[t, env] = clock
            clock = 0 if ends[t, env] else clock + 1
    t = np.arange(steps)[:, None]
    marks = (1000 * np.arange(envs) + t).astype(np.float32)
    zeros = np.zeros((steps, envs), np.float32)
    return Rollout(
        observations=marks[..., None],
        actions=(t + np.zeros((1, envs))).astype(np.int64),
        sampled=zeros,
        true_rewards=marks / 10,
        ends=ends,
        truncated=np.zeros_like(ends),
        values=zeros,
        log_probs=zeros,
        last_values=zeros[0],
        levels=np.full((steps, envs), 7, np.int64),
        episode_times=times,
        anchors={0: [b"0"] * envs, 32: [b"32"] * envs},
        policy_step=640,
        first_step=64,
    )


def config(length: int = 5, at_episode_end: str = "shift") -> SegmentConfig:
    return SegmentConfig.model_validate({"length": length, "at_episode_end": at_episode_end})


def all_windows(of: Rollout, chosen: SegmentConfig) -> list[Window]:
    return draw_windows(of, 10**6, chosen, np.random.default_rng(0))


@pytest.mark.parametrize("at_episode_end", ["shift", "pad"])
def test_windows_hold_one_episode_and_are_never_cut_by_the_rollouts_end(at_episode_end):
    rng = np.random.default_rng(3)
    lengths = [[int(n) for n in rng.integers(1, 30, 60)] for _ in range(4)]
    played = rollout(lengths, 200, begun=0)
    windows = all_windows(played, config(9, at_episode_end))
    assert len(windows) > 100
    assert len(set(windows)) == len(windows)
    for window in windows:
        own = slice(window.t, window.t + window.length)
        assert window.t >= 0
        assert own.stop <= 200
        assert not played.ends[own, window.env][:-1].any()
        if window.length < 9:  # only an episode's end makes a window shorter
            assert played.ends[own.stop - 1, window.env]
            if at_episode_end == "shift":  # and only a short episode, which it holds whole
                assert played.episode_times[window.t, window.env] == 0


def test_a_window_that_would_cross_an_end_is_moved_back_to_end_with_it():
    played = rollout([[20, 100]], 40)
    windows = all_windows(played, config(5))
    assert {w.t for w in windows} == {*range(0, 16), *range(20, 36)}
    assert {w.length for w in windows} == {5}


def test_a_padded_window_stops_at_the_end():
    played = rollout([[20, 100]], 40)
    windows = {w.t: w.length for w in all_windows(played, config(5, "pad"))}
    assert [windows[t] for t in (15, 16, 17, 18, 19, 20)] == [5, 4, 3, 2, 1, 5]
    assert max(windows) == 35


def test_the_end_of_an_episode_is_drawn_as_often_as_steps_lead_to_it():
    played = rollout([[20, 100]], 40)
    counts = Counter(
        draw_windows(played, 1, config(5), np.random.default_rng(seed))[0].t for seed in range(3200)
    )
    # 36 steps start a window; five of them (15 to 19) start the one that ends the episode.
    assert counts[15] == pytest.approx(3200 * 5 / 36, rel=0.2)
    assert counts[3] == pytest.approx(3200 / 36, rel=0.4)


def test_episodes_shorter_than_a_segment_are_windows_of_their_own_length():
    played = rollout([[3] * 20], 30)
    shifted = all_windows(played, config(5))
    assert {(w.t, w.length) for w in shifted} == {(t, 3) for t in range(0, 30, 3)}


def test_no_window_reaches_back_before_the_rollout():
    # The first episode has 40 steps, of which the last two lie in the rollout.
    played = rollout([[40, 100]], 30, begun=38)
    windows = all_windows(played, config(5))
    assert {w.t for w in windows} == set(range(2, 26))


def test_a_rollout_without_room_for_a_window_gives_none():
    assert all_windows(rollout([[100]], 4), config(5)) == []


def test_draws_are_reproducible_and_distinct():
    played = rollout([[100], [100]], 60)
    draw = [draw_windows(played, 20, config(), np.random.default_rng(5)) for _ in range(2)]
    assert draw[0] == draw[1]
    assert len(set(draw[0])) == 20
    assert draw[0] != draw_windows(played, 20, config(), np.random.default_rng(6))


def test_observations_of_windows_with_padding():
    played = rollout([[20, 100], [100]], 40)
    windows = [Window(1, 3, 4), Window(0, 18, 2)]
    observations, valid = window_observations(played, windows)
    assert observations[..., 0].tolist() == [[1003, 1004, 1005, 1006], [18, 19, 19, 19]]
    assert valid.tolist() == [[True] * 4, [True, True, False, False]]
    assert window_observations(played, windows, length=6)[0].shape == (2, 6, 1)
    assert window_observations(played, [], length=6)[0].shape == (0, 6, 1)


def test_a_segment_starts_from_the_newest_snapshot_and_outlives_its_rollout():
    played = rollout([[20, 100], [100]], 60)
    segment = to_segment(played, Window(0, 40, 5), EnvironmentConfig())
    trajectory = segment.trajectory
    assert (trajectory.start_state, segment.start, segment.length) == (b"32", 8, 5)
    assert trajectory.actions.tolist() == list(range(32, 45))
    assert trajectory.digest == digest(played.observations[32:45, 0])
    assert segment.true_return == pytest.approx(sum(range(40, 45)) / 10)
    assert (trajectory.level, trajectory.policy_step) == (7, 640)
    assert trajectory.environment == EnvironmentConfig().model_dump(mode="json")
    played.actions[:] = -1  # the next rollout reuses the arrays
    played.true_rewards[:] = -1
    assert trajectory.actions[0] == 32
    assert segment.true_return == pytest.approx(21.0)


def test_segments_are_of_one_part_of_an_episode_exactly_if_they_name_the_same():
    played = rollout([[20, 100], [100]], 60)

    def episode(env, t):
        return to_segment(played, Window(env, t, 5), EnvironmentConfig()).trajectory.episode

    assert episode(0, 0) == episode(0, 15)
    assert len({episode(0, 0), episode(0, 20), episode(1, 0)}) == 3
    # What the next rollout holds of the episode is another part of it.
    following = rollout([[100], [100]], 60, begun=40)
    following.first_step = played.first_step + 60
    rest = to_segment(following, Window(0, 3, 5), EnvironmentConfig()).trajectory.episode
    assert rest not in {episode(0, 0), episode(0, 20), episode(1, 0)}


def test_without_snapshots_a_segment_holds_what_the_agent_saw():
    played = rollout([[100]], 60)
    played.anchors = {}
    segment = to_segment(played, Window(0, 40, 5), EnvironmentConfig())
    assert segment.start == 0
    assert segment.trajectory.start_state is None
    assert segment.trajectory.observations[:, 0].tolist() == list(range(40, 45))


@pytest.mark.parametrize("at_episode_end", ["shift", "pad"])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_share_of_endings_is_kept_even_where_there_are_few(at_episode_end, share):
    played = rollout([[20] * 10] * 8, 200)  # 80 episodes end
    for count in (20, 10**4):
        chosen = SegmentConfig(length=5, at_episode_end=at_episode_end, endings=share)
        windows = draw_windows(played, count, chosen, np.random.default_rng(1))
        ending = [played.ends[window.t + window.length - 1, window.env] for window in windows]
        assert len(set(windows)) == len(windows)
        assert sum(ending) / len(windows) == pytest.approx(share, abs=0.01)

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import av
import numpy as np
import pytest

import learner.video
from learner.clips import render_agent_view, render_clip, render_trajectory
from learner.config import EnvironmentConfig
from learner.envs.registry import make
from learner.replay import replay
from learner.trajectories import Segment, Trajectory, digest
from learner.video import LEAST_HEIGHT, MissingCodec, encode


def decode(content: bytes):
    """(frames, pts in seconds, stream facts) of an MP4."""
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        facts = {
            "codec": stream.codec_context.name,
            "pix_fmt": stream.codec_context.pix_fmt,
            "rate": stream.average_rate,
            "seconds": float(stream.duration * stream.time_base),
        }
        frames = list(container.decode(stream))
    return (
        np.stack([frame.to_ndarray(format="rgb24") for frame in frames]),
        [frame.pts * frame.time_base for frame in frames],
        facts,
    )


def gradient(count: int, height: int, width: int) -> np.ndarray:
    """Frames that grow brighter, so that each can be told from its neighbours."""
    levels = np.linspace(20, 230, count).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


@pytest.mark.parametrize("fps", [15, 30, 50, 125])
def test_every_frame_lasts_exactly_as_long_and_the_last_is_held_half_a_second(fps):
    shown, times, facts = decode(encode(gradient(26, 512, 512), fps))
    held = round(fps / 2)
    assert facts["codec"] == "h264"
    assert facts["pix_fmt"] == "yuv420p"
    assert facts["rate"] == fps
    assert facts["seconds"] == pytest.approx((26 + held) / fps, abs=1e-3)
    assert len(shown) == 26 + held
    assert times[0] == 0
    assert {later - earlier for earlier, later in pairwise(times)} == {times[1]}
    assert times[1] == pytest.approx(1 / fps)
    brightness = shown.mean(axis=(1, 2, 3))
    assert (np.diff(brightness[:26]) > 2).all()
    assert np.ptp(brightness[25:]) < 2
    assert np.abs(brightness[:26] - gradient(26, 1, 1)[:, 0, 0, 0]).max() < 4


def test_odd_and_tiny_pictures_become_even_and_large_enough():
    shown, _, _ = decode(encode(gradient(3, 85, 33), 15))
    assert shown.shape[1:] == (340, 132, 3)
    shown, _, _ = decode(encode(gradient(3, 401, 301), 15))
    assert shown.shape[1:] == (402, 302, 3)
    assert LEAST_HEIGHT == 256


def test_the_index_comes_before_the_pictures_so_that_playing_starts_at_once():
    content = encode(gradient(3, 64, 64), 15)
    assert 0 < content.find(b"moov") < content.find(b"mdat")


def test_equal_frames_give_equal_bytes():
    assert encode(gradient(5, 64, 64), 15) == encode(gradient(5, 64, 64), 15)


def test_a_missing_codec_is_one_line_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(learner.video, "CODEC", "libnosuchcodec")
    with pytest.raises(MissingCodec, match="pip install") as error:
        encode(gradient(2, 64, 64), 15)
    assert "\n" not in str(error.value)


def recorded(steps: int) -> Trajectory:
    config = EnvironmentConfig(id="procgen/coinrun")
    env = make(config, num_envs=1, seed=2)
    env.reset()
    start = env.save(0)
    return Trajectory(
        environment=config.model_dump(mode="json"),
        start_state=start,
        actions=np.full(steps, 7),
        rewards=np.zeros(steps, np.float32),
        ends=np.zeros(steps, np.bool_),
        episode="0-0",
        level=0,
        policy_step=0,
        digest="",
    )


def test_a_clip_shows_each_frame_before_an_action_and_the_result_of_the_last():
    clip, _, facts = decode(render_clip(Segment(recorded(12), start=4, length=8)))
    assert clip.shape == (9 + 8, 512, 512, 3)  # 9 frames, then half a second
    assert facts["rate"] == 15
    whole, _, _ = decode(render_trajectory(recorded(12)))
    assert len(whole) == 13 + 8
    difference = np.abs(clip[:9].astype(int) - whole[4:13]).mean(axis=(1, 2, 3))
    assert difference.max() < 2
    assert np.abs(clip[0].astype(int) - whole[3]).mean() > difference.max()


def test_the_agents_view_shows_what_the_agent_saw_in_step_with_the_clip():
    segment = Segment(recorded(12), start=4, length=8)
    view, _, facts = decode(render_agent_view(segment))
    clip, _, _ = decode(render_clip(segment))
    assert (len(view), view.shape[1:], facts["rate"]) == (len(clip), (256, 256, 3), 15)
    seen = replay(segment.trajectory).observations[4:12]
    assert np.abs(view[:8, ::4, ::4].astype(int) - seen).mean() < 4


def test_of_stacked_grey_frames_the_newest_is_shown_and_of_vectors_nothing():
    frames = np.zeros((6, 84, 84, 4), np.uint8)
    frames[..., -1] = 200
    stored = replace(recorded(6), start_state=None, observations=frames)
    view, _, _ = decode(render_agent_view(Segment(stored, start=0, length=6)))
    assert np.abs(view.astype(int) - 200).max() < 4
    numbers = replace(stored, observations=np.zeros((6, 4), np.float32))
    assert render_agent_view(Segment(numbers, start=0, length=6)) is None


def test_stored_frames_are_shown_where_nothing_can_be_replayed():
    frames = gradient(6, 256, 256)
    trajectory = Trajectory(
        environment={"id": "procgen/coinrun"},
        start_state=None,
        actions=np.zeros(6),
        rewards=np.zeros(6, np.float32),
        ends=np.zeros(6, np.bool_),
        episode="0-0",
        level=-1,
        policy_step=0,
        digest=digest(frames),
        observations=frames,
        frames=frames,
    )
    clip, _, _ = decode(render_clip(Segment(trajectory, start=2, length=3)))
    assert np.abs(clip[:3].mean(axis=(1, 2, 3)) - frames[2:5, 0, 0, 0]).max() < 4

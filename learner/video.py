"""Frames as short videos that every browser plays. Imported without torch."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from learner.errors import LearnerError

CODEC = "libx264"
# The last frame is held, so that a looping clip does not jump from its outcome to its start.
HOLD_SECONDS = 0.5
# Smaller pictures are enlarged: browsers would blur them.
LEAST_HEIGHT = 256
# About as good as the eye can tell on flat colours, at some 60 kB per clip of 512x512.
_QUALITY = "20"
_KEY_FRAME_SECONDS = 2.0  # what a browser decodes at most when it steps back one frame


class MissingCodec(LearnerError):
    """The video library lacks the H.264 encoder."""


def encode(frames: NDArray[np.uint8], fps: int) -> bytes:
    """Frames as MP4: H.264 in yuv420p at an exactly constant rate, the last frame held.

    Args:
        frames: (n, H, W, 3) uint8; enlarged if tiny, the last row or column doubled if odd.
        fps: frames per second.

    Raises:
        MissingCodec: no H.264 encoder.
    """
    assert frames.ndim == 4, frames.shape
    assert frames.shape[0] >= 1, frames.shape
    assert frames.shape[3] == 3, frames.shape
    held = np.repeat(frames[-1:], round(HOLD_SECONDS * fps), axis=0)
    # A file, not a buffer: the index goes to the front only where the writer can seek back.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        with av.open(path, "w", options={"movflags": "+faststart"}) as container:
            stream = _stream(container, _shaped(frames[:1]).shape[1:3], fps)
            for picture in [*frames, *held]:
                frame = av.VideoFrame.from_ndarray(_shaped(picture[None])[0], format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()


def _stream(
    container: av.container.OutputContainer, size: tuple[int, ...], fps: int
) -> VideoStream:
    """A video stream for pictures of size (height, width)."""
    try:
        stream = container.add_stream(CODEC, rate=Fraction(fps))
    except av.codec.codec.UnknownCodecError as error:
        raise MissingCodec(
            "no H.264 encoder in the video library; reinstall it from a wheel: "
            "pip install --force-reinstall --only-binary av av"
        ) from error
    assert isinstance(stream, VideoStream)
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    stream.time_base = Fraction(1, fps)
    # No B-frames: frames are stored in the order in which they are shown, from time 0.
    stream.options = {"crf": _QUALITY, "preset": "veryfast", "bf": "0"}
    stream.gop_size = max(1, round(_KEY_FRAME_SECONDS * fps))
    return stream


def _shaped(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, H, W, 3) with even sides, enlarged by whole factors to at least `LEAST_HEIGHT`."""
    factor = max(1, -(-LEAST_HEIGHT // frames.shape[1]))
    large = frames.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = large.shape[1:3]
    # yuv420p halves the colours in both directions, so sides are even.
    return np.pad(large, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], mode="edge")

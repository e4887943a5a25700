"""Clips and videos, rendered in a process of their own so that training never waits for them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

from learner.clips import render_agent_view, render_clip, render_trajectory
from learner.keepers import keeping, start_child
from learner.records import CONTENT_LOST, RecordsError, RunRecords, Settings, Workplace
from learner.trajectories import TrajectoryError

IDLE_SECONDS = 0.2
PAUSE_SECONDS = 2.0
"""Between a failure, of the database or of the process itself, and the next try."""

BATCH = 2
"""Clips per look at the queue: one pair, so that the newest pair always comes next."""

# One segment's own fault; everything else can still be rendered.
UNRENDERABLE = (TrajectoryError, *CONTENT_LOST)

log = structlog.get_logger()


@contextmanager
def rendering(records: RunRecords) -> Iterator[None]:
    """Render this run's clips and videos in a child process while the block runs."""
    with keeping(_keep, records, "renderer's keeper"):
        yield


def _keep(records: RunRecords, ended: threading.Event) -> None:
    """Keep the process running: without it people would wait for ever, and nobody would know."""
    while not ended.is_set():
        settings = records.workplace.settings
        told = (settings, records.name, records.run_id, os.getpid())
        process = start_child(_render_forever, *told, name="renderer")
        while process.is_alive() and not ended.wait(IDLE_SECONDS):
            pass
        process.terminate()
        process.join()
        if not ended.wait(PAUSE_SECONDS):
            log.error("the renderer ended; starting it again", run=records.name)


def _render_forever(settings: Settings, name: str, run_id: int, parent: int) -> None:
    """Look for work until terminated or orphaned."""
    # A signal that nobody handles is taken by SDL, which draws CartPole, and never heard of again.
    signal.signal(signal.SIGTERM, _end)
    workplace = Workplace(settings)
    records = RunRecords(workplace, run_id, name, {}, "renderer")
    while os.getppid() == parent:
        try:
            if not render_pending(records):
                time.sleep(IDLE_SECONDS)
        except RecordsError as error:
            log.error("nothing can be rendered", run=name, reason=str(error))
            time.sleep(PAUSE_SECONDS)


def _end(_signal: int, _frame: FrameType | None) -> None:
    os._exit(0)  # nothing is cut in half: content is stored before its row


def render_pending(records: RunRecords) -> bool:
    """Render what people wait for next: the agent's view of a pair, a pair's clips, a video.

    Returns:
        Whether there was anything to do.
    """
    if _render_agent_views(records):
        return True
    segments = records.segments_without_clip(BATCH)
    for segment_id in segments:
        try:
            clip = render_clip(records.segment(segment_id))
        except UNRENDERABLE as error:
            log.error("clip cannot be rendered", segment=segment_id, reason=str(error))
            records.clip_failed(segment_id)
        else:
            records.store_clip(segment_id, clip)
    return bool(segments) or render_video(records)


def render_video(records: RunRecords) -> bool:
    """Render the newest agent's video, and whether there was one to render."""
    checkpoint = records.checkpoint_without_video()
    if checkpoint is None:
        return False
    checkpoint_id, artifact = checkpoint
    try:
        video = render_trajectory(records.showing(artifact))
    except UNRENDERABLE as error:
        log.error("video cannot be rendered", checkpoint=checkpoint_id, reason=str(error))
        video = None
    records.store_video(checkpoint_id, video)
    return True


def _render_agent_views(records: RunRecords) -> bool:
    """Render what somebody has just asked for, and whether there was any."""
    segments = records.agent_clips_wanted(BATCH)
    for segment_id in segments:
        try:
            view = render_agent_view(records.segment(segment_id))
        except UNRENDERABLE as error:
            log.error("agent's view cannot be rendered", segment=segment_id, reason=str(error))
            view = None
        records.store_agent_clip(segment_id, view)
    return bool(segments)

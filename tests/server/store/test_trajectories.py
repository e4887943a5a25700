from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from server.artifacts import Artifacts
from server.errors import NotFound
from server.models import Query, QueryState, Segment, Trajectory
from server.store import trajectories

if TYPE_CHECKING:
    from conftest import Scene

RECORDER = Path(__file__).with_name("recorder.py")


def pair_of(scene: Scene, query_id: int) -> tuple[int, int]:
    with scene.database.read() as s:
        query = s.get_one(Query, query_id)
        return query.segment_a_id, query.segment_b_id


def state_of(scene: Scene, query_id: int) -> QueryState:
    with scene.database.read() as s:
        return s.get_one(Query, query_id).state


def test_clips_are_wanted_in_the_order_of_the_queue(scene: Scene) -> None:
    with scene.write() as s:
        old = scene.ask_one(s, clip=None, iteration=1)
        new = scene.ask_one(s, clip=None, iteration=2)
        scene.segment(s)  # nobody asks about this one
        wanted = trajectories.segments_without_clip(s, run_id=scene.run_id, limit=3)
    assert [one.segment_id for one in wanted] == [*pair_of(scene, new), pair_of(scene, old)[0]]
    assert (wanted[0].artifact, wanted[0].start, wanted[0].length) == ("0" * 64, 0, 25)


def test_a_query_opens_when_both_clips_are_there(scene: Scene) -> None:
    with scene.write() as s:
        query = scene.ask_one(s, clip=None)
    a, b = pair_of(scene, query)
    with scene.write() as s:
        assert trajectories.set_clip(s, segment_id=a, clip="1" * 64) == 0
    assert state_of(scene, query) is QueryState.PENDING
    with scene.write() as s:
        assert trajectories.set_clip(s, segment_id=b, clip="2" * 64) == 1
    (pair,) = scene.next(scene.person("ada"))
    assert {pair.left_clip, pair.right_clip} == {"1" * 64, "2" * 64}


def test_clips_stored_at_the_same_moment_open_every_query(
    scene: Scene, at_once: Callable[..., list[Any]]
) -> None:
    with scene.write() as s:
        asked = [scene.ask_one(s, clip=None) for _ in range(8)]
    segments = [segment for query in asked for segment in pair_of(scene, query)]

    def store(segment_id: int) -> int:
        with scene.write() as s:
            return trajectories.set_clip(s, segment_id=segment_id, clip="1" * 64)

    assert sum(at_once(store, segments)) == 8
    assert scene.counts().open == 8


def test_a_clip_that_cannot_be_made_sets_its_query_aside(scene: Scene) -> None:
    with scene.write() as s:
        lost, other = scene.ask_one(s, clip=None), scene.ask_one(s)
        answered = scene.ask_one(s)
    pairs = {pair.query_id: pair for pair in scene.next(scene.person("ada"), count=2)}
    scene.submit(pairs[answered])
    with scene.write() as s:
        for query in (lost, other, answered):
            trajectories.clip_failed(s, segment_id=s.get_one(Query, query).segment_b_id)
        with pytest.raises(NotFound):
            trajectories.clip_failed(s, segment_id=999)
    assert [state_of(scene, query) for query in (lost, other, answered)] == [
        QueryState.SET_ASIDE,
        QueryState.SET_ASIDE,
        QueryState.CLOSED,
    ]
    assert scene.next(scene.person("bob")) == []
    assert scene.submit(pairs[other]).late is False  # seen before the clip was lost: kept


def test_a_segment_names_its_recipe(scene: Scene) -> None:
    with scene.write() as s:
        segment = scene.segment(s)
        assert trajectories.recipe(s, segment_id=segment) == trajectories.Recipe(
            segment, "0" * 64, 0, 25
        )
        with pytest.raises(NotFound):
            trajectories.recipe(s, segment_id=999)


@pytest.mark.slow
def test_kills_leave_whole_rows_with_whole_artifacts(
    scene: Scene, database_url: str, tmp_path: Path
) -> None:
    command = [sys.executable, str(RECORDER), database_url, str(tmp_path / "store")]
    stored = 0
    for pause in (0, 3, 10):
        recorder = subprocess.Popen(
            [*command, str(scene.run_id)], stdout=subprocess.PIPE, text=True
        )
        assert recorder.stdout is not None
        for _ in range(1 + pause):
            stored += recorder.stdout.readline() == "stored\n"
        os.kill(recorder.pid, signal.SIGKILL)
        stored += len(recorder.communicate()[0].splitlines())
    artifacts = Artifacts(str(tmp_path / "store"))
    with scene.database.read() as s:
        recorded = s.scalars(select(Trajectory).where(Trajectory.id != scene.trajectory_id)).all()
        segments = s.scalars(select(Segment.trajectory_id)).all()
    assert len(recorded) >= 2 * stored > 0
    assert sorted(row.id for row in recorded) == sorted(segments)
    by_pair = [row.episode for row in recorded]
    assert all(by_pair.count(episode) == 2 for episode in by_pair)
    for row in recorded:
        assert len(artifacts.get(row.artifact)) == 300_000

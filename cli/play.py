"""Games that people play in the browser, hosted beside a worker: one process for each.

The server asks in the database; a process listens on a socket of its own, says where, and lets in
whoever shows the secret of that play. It ends with the connection, and with the worker.
"""

from __future__ import annotations

import hmac
import json
import multiprocessing
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import structlog

from cli.signals import end_with_parent
from learner.config import parse_config
from learner.errors import LearnerError
from learner.play import Left, episodes, legend
from learner.trajectories import Trajectory
from server.artifacts import Artifacts
from server.database import Database
from server.errors import ClipwiseError, NotFound
from server.settings import EVERY_ADDRESS, Settings
from server.store import plays, runs, trajectories
from server.store.plays import Hosted

LOOK_EVERY = 0.5
ARRIVAL_SECONDS = 15.0
"""How long a game waits for its player."""

MOST_LINES = 100
"""Read between two frames: a caller that never stops sending must not stop the game."""

log = structlog.get_logger()


@contextmanager
def hosting(settings: Settings) -> Iterator[None]:
    """Host what people ask to play while the block runs."""
    ended = threading.Event()
    host = threading.Thread(target=_host, args=(settings, ended), name="games", daemon=True)
    host.start()
    try:
        yield
    finally:
        ended.set()
        host.join()


def _host(settings: Settings, ended: threading.Event) -> None:
    """Start a process for every play; end them all at the end."""
    context = multiprocessing.get_context("spawn")
    database = Database(settings.database_url)
    games: list[Any] = []
    while not ended.wait(LOOK_EVERY):
        games = [game for game in games if game.is_alive()]
        try:
            with database.read() as s:
                waiting = plays.is_waiting(s, now=datetime.now(UTC))
            if not waiting or len(games) >= plays.MOST:
                continue
            with database.write() as s:
                play = plays.take(s, now=datetime.now(UTC))
        except ClipwiseError as error:
            log.error("nobody can play", reason=str(error))
            continue
        if play is not None:
            game = context.Process(target=_play, args=(settings, play), name="game", daemon=True)
            game.start()
            games.append(game)
    for game in games:
        game.terminate()
        game.join()
    database.close()


def _play(settings: Settings, play: Hosted) -> None:
    """Host one game to its end."""
    end_with_parent()
    database = Database(settings.database_url)
    try:
        with _listening(settings) as (listener, address):
            with database.write() as s:
                plays.offer(s, play_id=play.id, address=address)
            listener.settimeout(ARRIVAL_SECONDS)
            connection, _ = listener.accept()
        with connection:
            _perform(settings, database, play, Line(connection, play.secret))
    except (LearnerError, ClipwiseError) as error:
        with database.write() as s:
            plays.refuse(s, play_id=play.id, reason=str(error), now=datetime.now(UTC))
    except (OSError, Left):
        pass  # nobody came, or the player has gone
    finally:
        with database.write() as s:
            plays.end(s, play_id=play.id, now=datetime.now(UTC))
        database.close()


@contextmanager
def _listening(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """A socket for one connection, and where the server finds it."""
    with socket.create_server((settings.play_host, 0), backlog=1) as listener:
        everywhere = settings.play_host in EVERY_ADDRESS
        name = socket.gethostname() if everywhere else settings.play_host
        yield listener, f"{name}:{listener.getsockname()[1]}"


class Line:
    """The connection to the server: keys come in, frames and words go out.

    Raises:
        Left: the other side shows another secret, or is gone.
    """

    def __init__(self, connection: socket.socket, secret: str) -> None:
        self._connection = connection
        self._read = b""
        self._held: frozenset[str] = frozenset()
        self._ready = selectors.DefaultSelector()
        self._ready.register(connection, selectors.EVENT_READ)
        connection.settimeout(ARRIVAL_SECONDS)
        if not hmac.compare_digest(self._line(), secret.encode()):
            raise Left
        connection.settimeout(plays.LONGEST.total_seconds())

    def keys(self) -> frozenset[str]:
        """What is held down, after what has come in: as much as a player can say in a tick."""
        for _ in range(MOST_LINES):
            if not (b"\n" in self._read or self._ready.select(0)):
                break
            self._hear()
        return self._held

    def choice(self, *wanted: str) -> str:
        """Wait until the player says one of these."""
        while True:
            said = self._hear()
            for name in wanted:
                if said.get(name) is True:
                    return name

    def show(self, frame: bytes) -> None:
        """Send a frame."""
        self._send(b"F", frame)

    def say(self, **words: Any) -> None:
        """Send a JSON object."""
        self._send(b"J", json.dumps(words).encode())

    def _hear(self) -> dict[str, Any]:
        try:
            said = json.loads(self._line())
        except ValueError as error:
            raise Left from error
        if not isinstance(said, dict):
            raise Left
        if isinstance(keys := said.get("keys"), list):
            self._held = frozenset(str(key)[:20] for key in keys[:8])
        return said

    def _line(self) -> bytes:
        while b"\n" not in self._read:
            part = self._connection.recv(4096)
            if not part or len(self._read) > 8192:
                raise Left
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _send(self, kind: bytes, content: bytes) -> None:
        self._connection.sendall(kind + len(content).to_bytes(4, "big") + content)


def _perform(settings: Settings, database: Database, play: Hosted, line: Line) -> None:
    """Play episodes; after each the player keeps it or not, and begins the next."""
    try:
        config = parse_config(play.config, source=f"run {play.run}").environment
        line.say(legend=legend(config))
        name, kept = f"play-{play.id}", 0
        for played in episodes(config, seed=play.id, name=name, keys=line.keys, show=line.show):
            total = float(played.rewards.sum())
            line.say(over={"return": total, "steps": played.steps})
            if line.choice("keep", "again") == "keep":
                _keep(settings, database, play, played)
                kept += 1
                line.say(kept=kept)
                line.choice("again")
    except LearnerError as error:
        line.say(error=str(error))
        raise


def _keep(settings: Settings, database: Database, play: Hosted, played: Trajectory) -> None:
    """Store an episode as a demonstration: its recipe, then the rows that name it."""
    now = datetime.now(UTC)
    artifact = Artifacts(settings.artifacts_url).put(played.to_bytes())
    with database.write() as s:
        row = trajectories.add_trajectory(
            s,
            run_id=play.run_id,
            artifact=artifact,
            episode=played.episode,
            level=played.level,
            policy_step=0,
            steps=played.steps,
            true_return=float(played.rewards.sum()),
            now=now,
        )
        plays.keep(s, play_id=play.id, trajectory_id=row.id, now=now)


def kept_plays(database: Database, artifacts: Artifacts, run: str) -> list[Trajectory]:
    """The episodes that people kept of a run's games.

    Raises:
        NotFound: no such run, or nobody has kept one.
    """
    with database.read() as s:
        names = plays.kept(s, run_id=runs.get_run(s, name=run).id)
    if not names:
        raise NotFound(f"nobody has kept a game of {run}; play on /runs/{run}/play")
    return [Trajectory.from_bytes(artifacts.get(name)) for name in names]

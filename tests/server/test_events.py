"""The event stream of a run, read from a real server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import insert

from server import events
from server.app import Server, create_app
from server.curves import CLOCK, POINTS
from server.database import Database
from server.models import CommandKind, Metric, Run, RunState
from server.settings import Settings
from server.store import metrics, runs, versions
from server.store.marks import Mark
from server.store.pulse import pulse

FPS = "time/fps"
RETURN = "evaluation/return_test"


@dataclass(frozen=True)
class Live:
    """A served run and its database."""

    url: str
    database: Database
    run_id: int
    app: Any

    def add(self, step: int, **values: float) -> None:
        named = {name.replace("__", "/"): value for name, value in values.items()}
        with self.database.write() as s:
            metrics.add_metrics(
                s, run_id=self.run_id, step=step, values=named, now=datetime.now(UTC)
            )

    def beat(self, seconds_ago: float = 0.0) -> None:
        with self.database.write() as s:
            run = s.get_one(Run, self.run_id)
            run.heartbeat_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)


@dataclass(frozen=True)
class Event:
    kind: str
    data: str
    id: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def make_run(database: Database) -> int:
    now = datetime.now(UTC)
    with database.write() as s:
        run = runs.create_run(
            s,
            name="coinrun-3",
            environment="procgen/coinrun",
            config={},
            seed=0,
            total_steps=1000,
            label_budget=10,
            now=now,
        )
        run.state = RunState.RUNNING
        run.heartbeat_at = now
        return run.id


@pytest.fixture
def live(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Live]:
    monkeypatch.setattr(events, "BATCH_SECONDS", 60.0)  # however busy the machine is
    settings = Settings(
        var=tmp_path, database_url=database_url, artifacts_url=str(tmp_path / "artifacts")
    )
    run_id = make_run(database)
    app = create_app(settings)
    server = Server(uvicorn.Config(app, port=0, log_level="warning"), app.state.stop)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Live(f"http://127.0.0.1:{port}", database, run_id, app)
    server.handle_exit(signal.SIGTERM, None)
    thread.join()


@contextmanager
def watching(live: Live, query: str = "", **headers: str) -> Iterator[Iterator[Event]]:
    """The stream's events, one after the other; waits at most 15 seconds for each."""
    url = f"{live.url}/runs/coinrun-3/events{query}"
    with httpx.stream("GET", url, headers=headers, timeout=15.0) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield read_events(response)


def read_events(response: httpx.Response) -> Iterator[Event]:
    fields: dict[str, list[str]] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
            continue
        if "event" in fields:
            yield Event(fields["event"][0], "\n".join(fields["data"]), fields.get("id", [""])[0])
        fields = {}


def until(stream: Iterator[Event], wanted: Callable[[Event], bool]) -> list[Event]:
    """Events up to the first that is wanted, that one included."""
    seen = []
    for event in stream:
        seen.append(event)
        if wanted(event):
            return seen
    raise AssertionError(f"the stream ended after {[event.kind for event in seen]}")


def of_kind(kind: str) -> Callable[[Event], bool]:
    return lambda event: event.kind == kind


def begun(stream: Iterator[Event]) -> list[Event]:
    """Everything that a new reader gets at once."""
    return until(stream, of_kind("marks"))


def test_it_begins_with_everything(live: Live) -> None:
    live.add(100, time__fps=1480.123456, evaluation__return_test=5.5)
    live.add(200, time__fps=1500.0)
    with watching(live) as stream:
        first = begun(stream)
    assert [event.kind for event in first] == [*events.PANELS, "metrics", "marks"]
    assert "coinrun-3" in first[0].data
    assert first[-2].json == {
        "reset": True,
        "series": {FPS: [[100, 200], [1480.12, 1500.0]], RETURN: [[100], [5.5]]},
    }
    assert first[-1].json == {"reset": True, "marks": []}


def test_only_what_is_new_follows(live: Live) -> None:
    live.add(100, time__fps=1.0)
    with watching(live) as stream:
        begun(stream)
        live.add(200, time__fps=2.0)
        live.beat()
        new = until(stream, of_kind("metrics"))
        assert new[-1].json == {"reset": False, "series": {FPS: [[200], [2.0]]}}
        assert {event.kind for event in new} <= {"standing", "metrics"}
        # A figure that comes late, for an earlier step than others have reached.
        live.add(150, evaluation__return_test=3.0)
        live.beat()
        late = until(stream, of_kind("metrics"))
        assert late[-1].json["series"] == {RETURN: [[150], [3.0]]}


def test_a_new_version_arrives_as_html(live: Live) -> None:
    with watching(live) as stream:
        begun(stream)
        with live.database.write() as s:
            versions.add_reward_model(
                s,
                run_id=live.run_id,
                artifact="0" * 64,
                iteration=3,
                steps=300,
                preferences=20,
                last_preference_id=None,
                metrics={"reward_model/accuracy_heldout": 0.75},
                now=datetime.now(UTC),
            )
        new = until(stream, of_kind("versions"))
    assert [event.kind for event in new] == ["versions"]
    assert "v1" in new[0].data
    assert "75.0 %" in new[0].data


@pytest.mark.slow
def test_a_worker_that_falls_silent_is_reported_within_seconds(live: Live) -> None:
    live.beat(seconds_ago=24.0)
    with watching(live) as stream:
        first = begun(stream)
        assert "worker gone" not in first[0].data
        gone = until(stream, of_kind("standing"))
        alarm = until(stream, of_kind("alarms"))
    assert "worker gone" in gone[-1].data
    assert "clipwise work" in gone[-1].data
    assert "Learner gone." in alarm[-1].data
    assert "Acknowledge" not in alarm[-1].data  # it ends by itself


def test_a_reader_that_comes_back_gets_the_rest(live: Live) -> None:
    live.add(100, time__fps=1.0, evaluation__return_test=4.0)
    with watching(live) as stream:
        last = until(stream, of_kind("metrics"))[-1]
    live.add(200, time__fps=2.0)
    live.add(150, evaluation__return_test=4.5)
    live.beat()  # a learner's steps change as well; points alone are looked for every 15 seconds
    with watching(live, **{"Last-Event-ID": last.id}) as stream:
        rest = until(stream, of_kind("metrics"))[-1]
    assert rest.json == {
        "reset": False,
        "series": {FPS: [[200], [2.0]], RETURN: [[150], [4.5]]},
    }
    with watching(live, f"?after={rest.id}") as stream:
        first = [next(stream).kind for _ in events.PANELS]
        live.add(300, time__fps=3.0)
        live.beat()
        later = until(stream, of_kind("metrics"))[-1]
    assert first == list(events.PANELS)
    assert later.json["series"] == {FPS: [[300], [3.0]]}


@pytest.mark.parametrize(
    "id_", ["nonsense", "1.2.3", "." * len(POINTS), "-1" + ".2" * (len(POINTS) - 1)]
)
def test_an_id_of_somebody_else_starts_from_the_beginning(live: Live, id_: str) -> None:
    live.add(100, time__fps=1.0)
    with watching(live, **{"Last-Event-ID": id_}) as stream:
        first = until(stream, of_kind("metrics"))[-1]
    assert first.json == {"reset": True, "series": {FPS: [[100], [1.0]]}}


def test_pages_without_curves_get_none(live: Live) -> None:
    live.add(100, time__fps=1.0)
    with watching(live, "?curves=false") as stream:
        seen = [next(stream).kind for _ in events.PANELS]
        live.add(200, time__fps=2.0)
        live.beat()
        seen += [event.kind for event in until(stream, of_kind("standing"))]
    assert "metrics" not in seen


def test_a_stream_ends_by_itself_after_its_life(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching(live) as first:
        begun(first)  # so that the next one is served at once
        monkeypatch.setattr(events, "LIFE_SECONDS", 0.5)
        started = time.monotonic()
        with watching(live) as stream:
            assert [event.kind for event in stream][: len(events.PANELS)] == list(events.PANELS)
    assert 0.4 < time.monotonic() - started < 60  # else as long as the server lives


@pytest.mark.slow
def test_many_watchers_share_one_look_a_second(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        looks.append(time.monotonic())
        return pulse(*args, **kwargs)

    monkeypatch.setattr(events, "pulse", counted)
    with ExitStack() as stack:
        streams = [stack.enter_context(watching(live)) for _ in range(8)]
        for stream in streams:
            until(stream, of_kind("metrics"))
        looks.clear()
        time.sleep(3.0)
        live.beat()
        for stream in streams:
            until(stream, of_kind("standing"))
    assert 1 <= len(looks) <= 6  # eight watchers alone would make 24


def test_a_long_run_comes_in_parts_of_at_most_50_kb_and_1500_points(live: Live) -> None:
    names = [name for name in POINTS if name != CLOCK]
    now = datetime.now(UTC)
    rows = [
        {"run_id": live.run_id, "name": name, "step": 2048 * i, "value": i / 7, "created_at": now}
        for name in names[:12]
        for i in range(5000)
    ]
    rows[2500]["value"] = -1e9
    with live.database.write() as s:
        s.execute(insert(Metric), rows)
    with watching(live) as stream:
        seen = begun(stream)
    parts = [event for event in seen if event.kind == "metrics"]
    assert max(len(event.data) for event in parts) < 50_000
    got = {name: one for event in parts for name, one in event.json["series"].items()}
    assert set(got) == set(names[:12])
    assert all(len(got[name][0]) <= POINTS[name] for name in got)
    assert min(got[names[0]][1]) == -1e9
    assert [event.json["reset"] for event in parts] == [True] + [False] * (len(parts) - 1)


def test_who_joins_later_is_served_from_what_is_known(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.add(100, time__fps=1.0)
    with watching(live) as first:
        begun(first)
        reads = []
        monkeypatch.setattr(events, "pulse", lambda *_, **__: reads.append(1))
        with watching(live) as second:
            seen = begun(second)
    assert [event.kind for event in seen] == [*events.PANELS, "metrics", "marks"]
    assert seen[-2].json["series"] == {FPS: [[100], [1.0]]}


def test_what_happens_to_a_run_is_marked(live: Live) -> None:
    live.add(512, time__total_timesteps=512.0)
    with watching(live) as stream:
        assert begun(stream)[-1].json == {"reset": True, "marks": []}
        with live.database.write() as s:
            later = datetime.now(UTC) + timedelta(seconds=1)
            command = runs.send_command(
                s, run_id=live.run_id, kind=CommandKind.PAUSE, person_id=None, now=later
            )
            command.taken_at = later
        live.beat()
        new = until(stream, of_kind("marks"))
    moment = round(1000 * later.timestamp())
    assert new[-1].json == {"reset": False, "marks": [[512, "command", "paused", moment]]}
    assert "paused" in next(event.data for event in new if event.kind == "happened")


def test_a_burst_of_labels_is_told_again_when_it_has_grown(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    moment = round(1000 * now.timestamp())
    labels = 10

    def read(*_: Any, **__: Any) -> tuple[Mark, ...]:
        return (Mark("version", 0, now, "v1"), Mark("labels", 0, now, f"{labels} labels in 1 min"))

    monkeypatch.setattr(events, "read_marks", read)
    with watching(live) as stream:
        first = begun(stream)[-1].json["marks"]
        assert [text for _, _, text, _ in first] == ["v1", "10 labels in 1 min"]
        labels = 27
        live.beat()
        new = until(stream, of_kind("marks"))
        assert new[-1].json["marks"] == [[0, "labels", "27 labels in 1 min", moment]]
        with watching(live) as second:  # joins later, and sees one burst
            seen = begun(second)[-1].json["marks"]
        assert [text for _, _, text, _ in seen] == ["v1", "27 labels in 1 min"]


def test_a_connection_of_the_pool_is_held_by_nobody_who_watches(live: Live) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(watching(live)) for _ in range(8)]
        for stream in streams:
            until(stream, of_kind("metrics"))
        pool = live.app.state.feeds.site.database.engine.pool
        samples = []
        for _ in range(20):
            samples.append(pool.checkedout())
            time.sleep(0.05)
    assert sorted(samples)[10] == 0


@pytest.mark.slow
def test_shutdown_with_fifty_open_streams_takes_less_than_a_second(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    make_run(database)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = (
        "from server.app import serve; from server.settings import Settings; serve(Settings())"
    )
    settings = {
        "CLIPWISE_VAR": str(tmp_path),
        "CLIPWISE_DATABASE_URL": database_url,
        "CLIPWISE_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-c", program], env=os.environ | settings)
    try:
        live = Live(f"http://127.0.0.1:{port}", database, 0, None)
        await_health(live.url, process)
        with ExitStack() as stack:
            streams = [stack.enter_context(watching(live)) for _ in range(50)]
            for stream in streams:
                next(stream)
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=10)
            seconds = time.monotonic() - asked
    finally:
        process.kill()
        process.wait()
    assert seconds < 1.0
    assert code in (0, -signal.SIGTERM)


def await_health(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server did not start"
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.ConnectError:
            time.sleep(0.05)
    raise AssertionError("the server does not answer")

"""How long those wait who watch, and what they cost: a long run's page, updates, comparisons.

    python -m benchmarks.monitor [--quick]

Synthetic rows: a run of 10 million steps with 200 figures, stored every 2,048 steps, and 19 more of
the same length, stored every 16,384 as runs with 64 environments are. A real server, a real browser
and up to 50 open streams look at them while an iteration is stored every second.
"""

from __future__ import annotations

import argparse
import http.client
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import psutil
from playwright.sync_api import sync_playwright
from sqlalchemy import Connection, insert

from benchmarks.command import await_health, clipwise, free_port
from benchmarks.labelling import ARGUMENTS, BROWSERS
from benchmarks.measure import Figure, report
from server.curves import POINTS
from server.database import Database, migrate
from server.models import Metric, RunState
from server.settings import Settings
from server.store import metrics, runs, versions

STEPS = 10_000_000
FIGURES = 200
DENSE, USUAL = 2_048, 16_384
NAMES = [*POINTS, *(f"synthetic/figure_{n:03d}" for n in range(FIGURES))][:FIGURES]
BIG = "big"
ROWS = 50_000
GAP_SECONDS = 0.25
READY = """
    () => {
        const drawn = document.querySelector("#chart-return canvas");
        const steered = document.querySelector("[data-live-toggle]:not([hidden])");
        return drawn && steered ? performance.now() : 0;
    }
"""
"""In the page: milliseconds since it was asked for, once a curve stands and everything reacts."""


def fill(database: Database, name: str, *, stride: int, steps: int) -> int:
    """Add a run with its curves; returns how many rows they are."""
    rng, now = random.Random(name), datetime.now(UTC)
    at = range(stride, steps + 1, stride)
    with database.write() as s:
        run = runs.create_run(
            s,
            name=name,
            environment="procgen/coinrun",
            config={"seed": 0, "reward": {"members": 1 + len(name) % 2}},
            seed=0,
            total_steps=2 * steps,
            label_budget=500,
            goal="",
            now=now - timedelta(hours=9),
        )
        run.state, run.steps, run.heartbeat_at = RunState.RUNNING, at[-1], now
        for number in range(100):
            versions.add_reward_model(
                s,
                run_id=run.id,
                artifact="0" * 64,
                iteration=number,
                steps=steps * number // 100,
                preferences=5 * number,
                last_preference_id=None,
                metrics={},
                now=now,
            )
        for figure in NAMES:  # a curve after the other, as they lie in the file
            level = 0.0
            rows = []
            for step in at:
                level += rng.gauss(0, 1)
                rows.append((run.id, figure, step, level, now))
            write(s.connection(), rows)
    return len(at) * len(NAMES)


def write(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows in large statements."""
    keys = ("run_id", "name", "step", "value", "created_at")
    for start in range(0, len(rows), ROWS):
        part = [dict(zip(keys, row, strict=True)) for row in rows[start : start + ROWS]]
        connection.execute(insert(Metric), part)


def iterate(database: Database) -> None:
    """Store one more iteration of the big run, and its heartbeat."""
    now = datetime.now(UTC)
    with database.write() as s:
        run = runs.get_run(s, name=BIG)
        run.steps += DENSE
        run.iteration += 1
        run.heartbeat_at = now
        values = {name: random.gauss(0, 1) for name in NAMES}
        metrics.add_metrics(s, run_id=run.id, step=run.steps, values=values, now=now)


@contextmanager
def learning(database: Database) -> Iterator[None]:
    """An iteration every second for as long as the block runs."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(1.0):
            iterate(database)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Watcher(threading.Thread):
    """A browser tab's stream of one run; knows how many bytes came when."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self.received: list[tuple[float, int]] = []

    def run(self) -> None:
        """Read until the server ends it."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", f"/runs/{BIG}/events")
            reply = connection.getresponse()
            while part := reply.read1(1 << 20):
                self.received.append((time.monotonic(), len(part)))
        except (OSError, http.client.HTTPException):
            return  # the server has ended
        finally:
            connection.close()

    def updates(self, since: float) -> list[int]:
        """Bytes of each update: what comes without a pause is one."""
        sizes, last = [0], since
        for moment, size in self.received:
            if moment < since:
                continue
            if moment - last > GAP_SECONDS:
                sizes.append(0)
            sizes[-1] += size
            last = moment
        return sizes

    @property
    def quiet(self) -> bool:
        """Whether something has come, and nothing more for a while."""
        return bool(self.received) and time.monotonic() - self.received[-1][0] > 2.0


def timed(call: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def query_times(database: Database) -> list[Figure]:
    """What the page asks the database, in milliseconds."""
    with database.read() as s:
        run_id = runs.get_run(s, name=BIG).id
        asked: dict[str, Callable[[], object]] = {
            "one curve": lambda: metrics.series(s, run_id=run_id, names=[NAMES[0]]),
            "twenty curves": lambda: metrics.series(s, run_id=run_id, names=NAMES[:20]),
            "newest of all figures": lambda: metrics.latest(s, run_id=run_id),
            "the steps of a minute": lambda: metrics.series(
                s, run_id=run_id, names=NAMES, after_step=STEPS - 60 * DENSE
            ),
        }
        return [
            Figure(f"query: {name}", statistics.median(timed(call) for _ in range(3)), "ms")
            for name, call in asked.items()
        ]


def open_page(port: int, times: int) -> list[float]:
    """Milliseconds until the big run's page is interactive, each in a fresh browser context."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        for _ in range(times):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"http://127.0.0.1:{port}/runs/{BIG}", wait_until="commit")
            ready = page.wait_for_function(READY, timeout=60_000)
            found.append(float(ready.json_value()))
            page.close()
        browser.close()
    return found


def watch(
    database: Database, port: int, server: psutil.Process, *, watchers: int, seconds: float
) -> tuple[list[Watcher], list[Figure]]:
    """Open streams and leave them open: their updates, and what they cost."""
    streams = [Watcher(port) for _ in range(watchers)]
    for stream in streams:
        stream.start()
    while not all(stream.quiet for stream in streams):  # until all have the whole curves
        time.sleep(0.1)
    with learning(database):
        since, before = time.monotonic(), used(server)
        time.sleep(seconds)
        share = (used(server) - before) / (time.monotonic() - since)
    largest = max(max(stream.updates(since)) for stream in streams)
    return streams, [
        Figure(f"cores of {watchers} watchers", share, at_most=0.5),
        Figure("largest update", largest / 1000, "kB", at_most=50),
    ]


def used(process: psutil.Process) -> float:
    """Seconds of processor time so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def end(process: subprocess.Popen[bytes]) -> float:
    """Seconds from Ctrl-C to the end of the server."""
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(60)
    return time.monotonic() - started


def measure(folder: Path, *, compared: int, steps: int, watchers: int, seconds: float) -> int:
    """Fill a database, look at it in every way, print the figures."""
    settings = Settings(var=folder)
    migrate(settings.database_url)
    database = Database(settings.database_url)
    rows = fill(database, BIG, stride=DENSE, steps=steps)
    names = [BIG, *(f"run-{number}" for number in range(compared - 1))]
    rows += sum(fill(database, name, stride=USUAL, steps=steps) for name in names[1:])
    figures = query_times(database)
    port = free_port()
    with clipwise(folder, port, "serve") as process:
        await_health(port, time.monotonic())
        opened = open_page(port, 5)
        address = f"/compare?{urlencode([('run', name) for name in names])}"
        compare = [page_time(port, address) for _ in range(3)]
        streams, watched = watch(
            database, port, psutil.Process(process.pid), watchers=watchers, seconds=seconds
        )
        closing = end(process)
    database.close()
    for stream in streams:
        stream.join(5)
    size = sum(file.stat().st_size for file in folder.glob("clipwise.db*"))
    figures += [
        Figure("rows", rows),
        Figure("database", size / 1e6, "MB"),
        Figure("page interactive", statistics.median(opened), "ms", at_most=1000),
        Figure(f"compare {compared} runs", statistics.median(compare), "ms", at_most=3000),
        *watched,
        Figure(f"shutdown with {watchers} streams", closing, "s", at_most=1.0),
    ]
    return report("monitor", figures)


def page_time(port: int, address: str) -> float:
    """Milliseconds until a page is there whole."""

    def fetch() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", address)
        reply = connection.getresponse()
        reply.read()
        connection.close()
        assert reply.status == 200, (address, reply.status)

    return timed(fetch)


def main(arguments: list[str] | None = None) -> int:
    """Measure; 1 if a figure is short of its bar."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.monitor", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, 6 runs")
    quick = parser.parse_args(arguments).quick
    with tempfile.TemporaryDirectory() as folder:
        return measure(
            Path(folder),
            compared=6 if quick else 20,
            steps=STEPS // 10 if quick else STEPS,
            watchers=50,
            seconds=10 if quick else 30,
        )


if __name__ == "__main__":
    sys.exit(main())

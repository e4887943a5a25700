"""How long people wait: for the first pair, for the next one, for the server, while it trains.

    python -m benchmarks.labelling [--quick]

Starts `clipwise up` as it is, on CoinRun, and labels in a real browser at a quick labeller's pace;
nothing else is stopped or slowed for it. Key press to next pair is taken in the page, from the key
event to the moment when both new clips have put a frame on the screen.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from benchmarks.command import Client, await_health, clipwise, free_port
from benchmarks.measure import Figure, report

RUN = "coinrun"
SECONDS_PER_PAIR = 2.2  # the clips are seen once; people take about 3 s
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
GAP = """
    () => {
        const at = (name) => performance.getEntriesByName(name).at(-1)?.startTime ?? 0;
        const gap = at("clipwise:playing") - at("clipwise:answer");
        return gap > 0 && gap;
    }
"""
console = Console()


def measure_start(folder: Path, times: int) -> list[float]:
    """Seconds from the start of the server's process to its first answer."""
    with clipwise(folder, 0, "migrate") as process:
        process.wait(60)
    seconds = []
    for _ in range(times):
        port, started = free_port(), time.monotonic()
        with clipwise(folder, port, "serve"):
            seconds.append(await_health(port, started))
    return seconds


def await_pair(page: Page) -> None:
    """Return when a pair is on show and plays."""
    page.wait_for_function(
        """() => {
            const video = document.querySelector(".stage.is-shown video");
            return video && !video.paused && video.currentTime > 0;
        }""",
        timeout=300_000,
    )


def label(page: Page, count: int) -> list[float]:
    """Milliseconds from key to next pair, for so many answers."""
    gaps = []
    for number in range(count):
        page.wait_for_timeout(1000 * SECONDS_PER_PAIR)
        page.evaluate("performance.clearMarks()")
        page.keyboard.press(("ArrowLeft", "ArrowRight")[number % 2])
        gaps.append(float(page.wait_for_function(GAP, timeout=300_000).json_value()))
    return gaps


def await_training(client: Client) -> None:
    """Return when the run has a reward model and goes on."""
    begun = None
    while True:
        iteration = client.call("GET", f"/api/v1/runs/{RUN}")["iteration"]
        begun = iteration if begun is None else begun
        if iteration > begun:
            return
        time.sleep(0.25)


class Probe(threading.Thread):
    """Asks for the server's health twenty times a second."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._client = Client(port)
        self._ended = threading.Event()
        self.milliseconds: list[float] = []

    def run(self) -> None:
        """Ask until `end`."""
        while not self._ended.wait(0.05):
            self.milliseconds.append(self._client.timed("GET", "/healthz"))

    def end(self) -> None:
        """Stop asking."""
        self._ended.set()
        self.join()


def measure_submits(client: Client, count: int) -> list[float]:
    """Milliseconds that answers take to be stored; each is taken back again, untimed."""
    milliseconds = []
    for number in range(count):
        desk = client.call("POST", f"/api/v1/runs/{RUN}/assignments", {"count": 2})
        pair = desk["assignments"][number % len(desk["assignments"])]["id"]
        body = {"side": "left", "seconds": 1.0, "submission_key": uuid.uuid4().hex}
        milliseconds.append(client.timed("POST", f"/api/v1/assignments/{pair}/answer", body))
        newest = client.call("GET", f"/api/v1/runs/{RUN}/progress")["newest_preference"]
        body = {"submission_key": uuid.uuid4().hex}
        client.call("POST", f"/api/v1/preferences/{newest}/withdraw", body)
        time.sleep(0.05)
    return milliseconds


def at(values: list[float], percent: float) -> float:
    """A percentile that was really measured, the higher one of two."""
    return float(np.percentile(values, percent, method="higher"))


def measure(folder: Path, *, labels: int, submits: int) -> list[Figure]:
    """Start everything, label, and take all figures."""
    starts = measure_start(folder / "start", 3)
    port, started = free_port(), time.monotonic()
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with clipwise(folder / "var", port, "up") as up, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        await_health(port, started)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"http://127.0.0.1:{port}/label/{RUN}")
        page.keyboard.press("Escape")  # the instructions
        await_pair(page)
        first = time.monotonic() - started
        console.print(f"first pair after {first:.1f} s")
        label(page, 6)
        client = Client(port)
        await_training(client)
        before = client.call("GET", f"/api/v1/runs/{RUN}")["iteration"]
        probe = Probe(port)
        probe.start()
        gaps = label(page, labels)
        browser.close()
        stored = measure_submits(client, submits)
        probe.end()
        trained = client.call("GET", f"/api/v1/runs/{RUN}")["iteration"] - before
        ending = time.monotonic()
        up.send_signal(signal.SIGINT)
        up.wait(20)
        ending = time.monotonic() - ending
    return [
        Figure("server start", max(starts), "s", at_most=2),
        Figure("first playable pair", first, "s", at_most=60),
        Figure("key press to next pair p50", at(gaps, 50), "ms"),
        Figure("key press to next pair p95", at(gaps, 95), "ms", at_most=150),
        Figure("key press to next pair, longest", max(gaps), "ms"),
        Figure("labels", len(gaps)),
        Figure("submit p50", at(stored, 50), "ms"),
        Figure("submit p95", at(stored, 95), "ms", at_most=30),
        Figure("submits", len(stored)),
        Figure("health p99", at(probe.milliseconds, 99), "ms", at_most=100),
        Figure("health requests", len(probe.milliseconds)),
        Figure("iterations trained meanwhile", trained, at_least=1),
        Figure("Ctrl-C to the end of all processes", ending, "s", at_most=3),
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    quick = parser.parse_args().quick
    # In a shell's background SIGINT is ignored, which all that is started here would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), labels=15 if quick else 60, submits=100 if quick else 400)
    return report("labelling", figures)


if __name__ == "__main__":
    sys.exit(main())

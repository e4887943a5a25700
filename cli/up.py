"""`clipwise up`: everything on one machine - database, first run, server, worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from cli.checks import check_codec, check_environment
from cli.serve import check_port
from cli.signals import PARENT, Ending
from learner.config import RunConfig, load_config
from learner.records import Workplace
from server.database import migrate
from server.errors import ClipwiseError
from server.settings import EVERY_ADDRESS, Settings, load_settings

FIRST_RUN = Path(__file__).parent.parent / "experiments" / "coinrun.yaml"
GRACE_SECONDS = 2.0
WATCH_SECONDS = 0.2
START_SECONDS = 60.0
"""A server that does not answer by then will not."""

RESTARTS = 3
"""How often a worker that died is started again before the command gives up."""

HEALTHY_SECONDS = 600.0
"""After so long without a death, earlier ones no longer count."""

console = Console()


class ChildFailed(ClipwiseError):
    """The server or the worker ended by itself."""


def up(*, port: int | None, config: Path | None) -> None:
    """Start server and worker as child processes and wait for Ctrl-C.

    Raises:
        ChildFailed: one of them could not be kept running.
    """
    settings = load_settings(**({} if port is None else {"port": port}))
    values = _first_config(config)
    check_codec()
    check_port(settings)
    migrate(settings.database_url)
    name = _labelled_run(settings, values, asked_for=config is not None)
    here = "127.0.0.1" if settings.host in EVERY_ADDRESS else settings.host
    url = f"http://{here}:{settings.port}"
    ending = Ending()
    ending.listen()
    children = {"server": _start("serve", "--port", str(settings.port))}
    try:
        _await_health(url, children["server"], ending)
        if not ending.asked:
            children["worker"] = _start("work", "--first", name)
            console.print(f"\n  Clipwise is running at [bold]{url}[/bold]")
            console.print(f"  Label at [bold]{url}/label/{name}[/bold]")
            console.print("  Ctrl-C stops it; nothing stored is lost.\n")
            _watch(children, name, ending)
        console.print("stopping")
    finally:
        _end(children)


def _first_config(path: Path | None) -> RunConfig:
    """The config of the first run, found usable before anything is stored."""
    values = load_config(path or FIRST_RUN)
    if path is not None:  # ours is known to be good, and looking takes seconds
        # In a process of its own: this one stays light, and ends at once.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
            other.submit(check_environment, values.environment).result()
    return values


def _labelled_run(settings: Settings, values: RunConfig, *, asked_for: bool) -> str:
    """Name of the run to go on with: one that is not at its end, else a new one.

    Args:
        settings: where runs are.
        values: config of a new run.
        asked_for: whether somebody named that config; then only a run of exactly it will do.
    """
    workplace = Workplace(settings)
    config = values.model_dump(mode="json")
    try:
        found = workplace.unfinished_run(config) if asked_for else workplace.run_for_people()
        return found or workplace.create_run(config)
    finally:
        workplace.close()


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process only, which then ends both in order.
    command = [sys.executable, "-m", "cli", *arguments]
    # What both print is for the person who started them, also where it goes to a file.
    environment = {"CLIPWISE_LOG": "console"} | os.environ | {PARENT: str(os.getpid())}
    return subprocess.Popen(command, start_new_session=True, env=environment)


def _await_health(url: str, server: subprocess.Popen[bytes], ending: Ending) -> None:
    """Return when the server answers, whatever it answers, or when the end is asked for."""
    # Not through a proxy, which the environment may name for other hosts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        if ending.asked:
            return
        try:
            opener.open(f"{url}/healthz", timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:  # not yet, or too slowly
            time.sleep(0.05)
        else:
            return
    raise ChildFailed("the server did not start; its message is above")


def _watch(children: dict[str, subprocess.Popen[bytes]], name: str, ending: Ending) -> None:
    """Wait until the end is asked for; start a worker that died again, a few times."""
    restarts, died = 0, time.monotonic()
    while not ending.asked:
        time.sleep(WATCH_SECONDS)
        if children["server"].poll() is not None:
            raise ChildFailed("the server ended; its message is above. Start again: clipwise up")
        if children["worker"].poll() is not None:
            if time.monotonic() - died > HEALTHY_SECONDS:
                restarts = 0
            if restarts == RESTARTS:
                raise ChildFailed("the worker keeps ending; its message is above")
            restarts, died = restarts + 1, time.monotonic()
            console.print("the worker ended; starting it again from the last checkpoint")
            children["worker"] = _start("work", "--first", name)


def _end(children: dict[str, subprocess.Popen[bytes]]) -> None:
    """End the children, politely first."""
    for child in children.values():
        child.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children.values():
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=max(0.0, deadline - time.monotonic()))
        with suppress(ProcessLookupError):
            # Its session: what it started may outlive it, such as the worker's renderer.
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

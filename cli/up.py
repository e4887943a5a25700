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
from cli.signals import interrupt
from learner.config import RunConfig, load_config
from learner.records import Workplace
from server.database import migrate
from server.errors import ClipwiseError
from server.settings import Settings, load_settings

FIRST_RUN = Path(__file__).parent.parent / "experiments" / "coinrun.yaml"
GRACE_SECONDS = 2.0
RESTARTS = 3
"""How often a worker that died is started again before the command gives up."""

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
    name = _first_run(settings, values)
    url = f"http://{settings.host}:{settings.port}"
    for ending in (signal.SIGTERM, signal.SIGHUP):  # the latter when the terminal is closed
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(ending, interrupt)
    children = {"server": _start("serve", "--port", str(settings.port))}
    try:
        _await_health(url, children["server"])
        children["worker"] = _start("work")
        console.print(f"\n  Clipwise is running at [bold]{url}[/bold]")
        if name:
            console.print(f"  First run: label at [bold]{url}/label/{name}[/bold]")
        console.print("  Ctrl-C stops it; nothing stored is lost.\n")
        _watch(children)
    except KeyboardInterrupt:
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


def _first_run(settings: Settings, values: RunConfig) -> str | None:
    """Make the first run if there is none yet; its name, or None."""
    workplace = Workplace(settings)
    try:
        if workplace.has_runs():
            return None
        return workplace.create_run(values.model_dump(mode="json"))
    finally:
        workplace.close()


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process only, which then ends both in order.
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.Popen(command, start_new_session=True, env=os.environ.copy())


def _await_health(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    while server.poll() is None:
        with suppress(urllib.error.URLError), urllib.request.urlopen(f"{url}/healthz", timeout=1):
            return
        time.sleep(0.05)
    raise ChildFailed("the server did not start; its message is above")


def _watch(children: dict[str, subprocess.Popen[bytes]]) -> None:
    """Wait; start a worker that died again, a few times."""
    restarts = 0
    while True:
        time.sleep(0.5)
        if children["server"].poll() is not None:
            raise ChildFailed("the server ended; its message is above. Start again: clipwise up")
        if children["worker"].poll() is not None:
            if restarts == RESTARTS:
                raise ChildFailed("the worker keeps ending; its message is above")
            restarts += 1
            console.print("the worker ended; starting it again from the last checkpoint")
            children["worker"] = _start("work")


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

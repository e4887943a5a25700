"""Threads that keep a child process running beside whatever else a process does."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

Kept = TypeVar("Kept")


@contextmanager
def keeping(keep: Callable[[Kept, threading.Event], None], what: Kept, name: str) -> Iterator[None]:
    """Run `keep` in a thread while the block runs.

    Args:
        keep: starts child processes and ends them, until its event is set.
        what: its other argument.
        name: of the thread, for whoever debugs it.
    """
    ended = threading.Event()
    keeper = threading.Thread(target=keep, args=(what, ended), name=name)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def start_child(target: Callable[..., None], *args: Any, name: str) -> SpawnProcess:
    """A child that goes with its parent; Ctrl-C is for the parent, which ends the child.

    Spawned, not forked: torch's and Procgen's threads do not survive a fork.
    """
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(target, *args), name=name, daemon=True
    )
    process.start()
    return process


def _run(target: Callable[..., None], *args: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target(*args)

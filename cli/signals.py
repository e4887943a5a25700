"""Being told to end: by a signal, or by the end of the process that started this one."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

PARENT = "CLIPWISE_PARENT"
"""Environment variable: the process without which this one must not go on."""

WATCH_SECONDS = 1.0


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM as Ctrl-C, an exception: transactions roll back, leases are released."""
    raise KeyboardInterrupt


class Ending:
    """Whether somebody asked for the end; nothing is cut in half, as an exception would.

    A child whose start is interrupted would be running, and nobody would know of it.
    """

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """Take Ctrl-C, termination, and the closing of the terminal, unless told to ignore it."""
        for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if one is signal.SIGINT or signal.getsignal(one) is not signal.SIG_IGN:
                signal.signal(one, self._ask)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True


def end_with_parent() -> None:
    """If `clipwise up` started this process, end when it is gone, even if it was killed."""
    parent = os.environ.pop(PARENT, None)
    if parent is not None:
        threading.Thread(target=_watch, args=(int(parent),), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)

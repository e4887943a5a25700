"""What interrupts a run: pause, resume, stop, a lost lease, a signal.

The loop calls `pulse` between environment steps and minibatches; it blocks while the run is
paused and raises when the run must be left. The last checkpoint is never touched by this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Stopped(Exception):
    """The run is to be left at its last checkpoint."""


class Control:
    """Flags that a heartbeat thread sets and the loop obeys."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._go.set()
        self._stopped: str | None = None
        self._paused_seconds = 0.0
        self.activity = "starting"
        """What the worker does now, in one word or two; shown beside the heartbeat."""

    @property
    def paused(self) -> bool:
        """Whether the loop is to hold still."""
        return not self._go.is_set()

    def clock(self) -> float:
        """Seconds from any fixed moment, pauses left out; for speeds."""
        return time.monotonic() - self._paused_seconds

    def pause(self) -> None:
        """Let the next pulse block."""
        self._go.clear()

    def resume(self) -> None:
        """Let blocked pulses go on."""
        self._go.set()

    def stop(self, why: str) -> None:
        """Let the next pulse raise `Stopped` with this reason."""
        self._stopped = why
        self._go.set()

    def pulse(self) -> None:
        """Obey what was asked.

        Raises:
            Stopped: the run is to be left.
        """
        if self.paused:
            began = time.monotonic()
            self._go.wait()
            self._paused_seconds += time.monotonic() - began
        if self._stopped is not None:
            raise Stopped(self._stopped)

    def wait_until(self, condition: Callable[[], bool], *, seconds: float) -> None:
        """Pulse until the condition holds, asking every so many seconds."""
        while not condition():
            self.pulse()
            threading.Event().wait(seconds)

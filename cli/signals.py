"""Termination as an exception, so that transactions roll back and leases are released."""

from __future__ import annotations

from types import FrameType


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM as Ctrl-C: raised between two bytecodes of the main thread."""
    raise KeyboardInterrupt

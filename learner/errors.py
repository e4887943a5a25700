"""What can keep a run from going on, as one line for people."""

from __future__ import annotations

from pathlib import Path


class LearnerError(Exception):
    """A run cannot go on; the message says why and what to do.

    Attributes:
        resumable: whether the run pauses at its last checkpoint (True) or has failed.
    """

    resumable = False


class Unwritable(LearnerError):
    """A folder outside the artifact store cannot be written."""

    resumable = True

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"cannot write to {folder}: {error.strerror}; free some space or make it writable, "
            "then go on"
        )


AGAIN = "the last good checkpoint is kept, but going on from it would come to the same"
"""Said where weights got out of hand: a run keeps its learning rates, and repeats itself."""


class Diverged(LearnerError):
    """A loss, reward or weight is no longer finite; the last checkpoint is still good."""

    resumable = True

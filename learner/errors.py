"""What can keep a run from going on, as one line for people."""

from __future__ import annotations


class LearnerError(Exception):
    """A run cannot go on; the message says why and what to do.

    Attributes:
        resumable: whether the run pauses at its last checkpoint (True) or has failed.
    """

    resumable = False


class Diverged(LearnerError):
    """A loss, reward or weight is no longer finite; the last checkpoint is still good."""

    resumable = True

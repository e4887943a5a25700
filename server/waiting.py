"""What a labeller is told while no pair is ready: one honest line."""

from __future__ import annotations

from datetime import datetime, timedelta

from server.formats import span
from server.models import Run, RunState

SILENT_AFTER = timedelta(seconds=30)
"""Without a heartbeat for longer than this, a worker is taken for gone."""


PAUSED_LINE = "Labelling is paused for you. Whoever runs this can let you go on."
BELOW_THRESHOLD_LINE = (
    "Labelling is paused for you: too many of your answers to pairs with a known answer differed. "
    "Whoever runs this can let you go on."
)


def waiting_line(
    run: Run, *, left: int, in_hands: int, rendering: int, next_in: float | None, now: datetime
) -> str:
    """Say why there is no pair and when there will be one.

    Args:
        run: the run that is labelled.
        left: labels still wanted.
        in_hands: pairs that somebody is judging now.
        rendering: pairs whose clips are being made.
        next_in: seconds until the next pairs are asked, from the last iterations; None = unknown.
        now: the time.
    """
    ended = _ended(run, left)
    if ended is not None:
        return ended
    if in_hands >= left:
        return "The last pairs are with other people. Thank you."
    if run.state is RunState.WAITING or run.heartbeat_at is None:
        return "The learner has not started yet. The first pair comes soon after it does."
    silence = now - run.heartbeat_at
    if silence < -SILENT_AFTER:
        return "The learner was last heard of at a time to come: a clock was set. Is it running?"
    if silence > SILENT_AFTER:
        return f"Nothing heard from the learner for {span(silence.total_seconds())}. Is it running?"
    if rendering:
        return "The next clips are being made. A few seconds until the next pair."
    if next_in is None:
        return "The agent is playing. The next pair comes when it has played enough."
    if next_in < 1:
        return "The agent is playing. The next pair is due any moment."
    return f"The agent is playing. About {_rounded(next_in)} until the next pair."


def _ended(run: Run, left: int) -> str | None:
    """Say why no pair will come by itself, or None."""
    if run.state is RunState.FAILED:
        return f"The run has failed: {run.reason or 'its page says more'}"
    if run.state is RunState.FINISHED:
        return "The run is finished. Thank you."
    if left <= 0:
        return "Every label that this run wanted is given. Thank you."
    if run.state is RunState.PAUSED:
        return "The run is paused. Pairs come again when it is resumed."
    if run.state is RunState.STOPPED:
        return "The run is stopped. Pairs come again when it is resumed."
    return None


def _rounded(seconds: float) -> str:
    """About 7 s, 20 s, 2 min: no more exact than the estimate is."""
    if seconds < 10:
        return f"{seconds:.0f} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"
    return f"{seconds / 60:.0f} min"

"""The members of the reward model have become one, or none of them knows any more."""

from __future__ import annotations

from learner.alarms.history import Alarm, History

COLLAPSED = 0.002
EXPLODED = 5.0
"""Disagreement in units of the reward's standard deviation on labelled data."""

FITS = 2


def check(history: History) -> Alarm | None:
    """Disagreement next to nothing, or several times the reward itself."""
    if history.members < 2:
        return None
    newest = history.last("reward_model/disagreement", FITS)
    if len(newest) < FITS:
        return None
    share = [value / history.target_std for value in newest]
    if max(share) < COLLAPSED:
        return Alarm(
            "ensemble",
            f"The ensemble has collapsed: its members differ by {share[-1]:.1%} of the reward's "
            "spread, so disagreement no longer tells what the model does not know.",
            "chart-disagreement",
        )
    if min(share) > EXPLODED:
        return Alarm(
            "ensemble",
            f"The ensemble has exploded: on what the agent does now its members differ by "
            f"{share[-1]:.1f} times the spread of the reward on labelled data; more labels there "
            "would help.",
            "chart-disagreement",
        )
    return None

"""People do not agree with each other on the same pairs."""

from __future__ import annotations

from learner.alarms.history import Alarm, History

TOO_LITTLE = 0.4
"""Krippendorff asks for 0.667 before even tentative conclusions; tastes may differ more."""

LEAST = 20


def check(history: History) -> Alarm | None:
    """Agreement is low, and its interval says that this is no accident."""
    alpha = history.newest("preferences/alpha")
    high = history.newest("preferences/alpha_high")
    pairs = history.newest("preferences/alpha_pairs")
    if alpha is None or high is None or pairs is None or pairs < LEAST or high >= TOO_LITTLE:
        return None
    return Alarm(
        "disagreement",
        f"People agree little on the same pairs: alpha is {alpha:.2f} (at most {high:.2f}) over "
        f"{pairs:.0f} pairs, where chance is 0 and full agreement 1; see whose answers differ.",
        "people",
    )

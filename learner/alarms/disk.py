"""The disk will soon be full; then the run pauses, and nothing more can be stored."""

from __future__ import annotations

import numpy as np

from learner.alarms.history import Alarm, History

LEAST_GIB = 2.0
SMALL_GIB, LEAST_PERCENT = 20.0, 3.0
SOON_HOURS = 12.0
POINTS = 30
LEAST_SECONDS = 600.0
"""What is written within minutes tells nothing of the hours to come."""


def check(history: History) -> Alarm | None:
    """Little is left, or what is left goes so fast that it will be gone within hours."""
    free = history.newest("system/disk_free_gib")
    percent = history.newest("system/disk_free_percent")
    if free is None or percent is None:
        return None
    left = f"{free:.1f} GiB ({percent:.0f} %) of the disk are left"
    if free < LEAST_GIB or (free < SMALL_GIB and percent < LEAST_PERCENT):
        return Alarm("disk", f"The disk is nearly full: {left}; free some space.", "chart-disk")
    hours = _hours_left(history)
    if hours is not None and hours < SOON_HOURS and percent < 50:
        return Alarm(
            "disk",
            f"The disk is filling: {left}; at the present rate it is full in {hours:.1f} hours.",
            "chart-disk",
        )
    return None


def _hours_left(history: History) -> float | None:
    """By a straight line through the newest points; None where it does not fall."""
    points = history.points("system/disk_free_gib")[-POINTS:]
    seconds = history.at("time/time_elapsed", [step for step, _ in points])
    known = [(at, value) for at, (_, value) in zip(seconds, points, strict=True) if at is not None]
    if len(known) < POINTS:
        return None
    x, y = np.array(known).T
    if x[-1] - x[0] < LEAST_SECONDS:
        return None
    slope = float(np.polyfit(x, y, 1)[0])
    return -float(y[-1]) / slope / 3600 if slope < 0 else None

"""Most answers are ties, which tell the reward model nothing about what is better."""

from __future__ import annotations

from learner.alarms.history import Alarm, History

TOO_MANY = 0.85
LEAST = 40


def check(history: History) -> Alarm | None:
    """More ties among the newest answers than a fit can live on."""
    share = history.newest("preferences/tie_share")
    labels = history.newest("preferences/total")
    if share is None or labels is None or labels < LEAST or share < TOO_MANY:
        return None
    return Alarm(
        "ties",
        f"{share:.0%} of the newest {min(100, int(labels))} answers are ties, from which the "
        "reward model learns little: ask pairs that differ more (segments.endings, longer "
        "segments, another strategy).",
        "chart-ties",
    )

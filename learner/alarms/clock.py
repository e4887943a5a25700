"""The reward tells the time instead of what people meant (methods of the generalisation study)."""

from __future__ import annotations

from learner.alarms.history import Alarm, History

LIKE_A_CLOCK = 0.9
"""Share of fresh pairs that a clock alone orders as the reward model does."""

MARGIN = 0.15
"""How much less often a clock may be right for this to be wrong."""

FITS = 2


def check(history: History) -> Alarm | None:
    """A clock alone explains the model's order of pairs, and does not explain the true one."""
    agreement = history.last("reward_model/clock_agreement", FITS)
    if not agreement or min(agreement) < LIKE_A_CLOCK:
        return None
    right = history.newest("reward_model/clock_accuracy_fresh")
    if right is not None and right > agreement[-1] - MARGIN:
        return None
    known = "" if right is None else f"; of the true order it explains {right:.0%}"
    return Alarm(
        "clock",
        f"The reward follows the clock: elapsed time alone orders {agreement[-1]:.0%} of fresh "
        f"pairs as the reward model does{known}.",
        "chart-clock",
    )

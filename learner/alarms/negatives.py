"""What must be avoided was never shown to anybody."""

from __future__ import annotations

import math

from learner.alarms.history import Alarm, History

LEAST_EVENTS = 20
LEAST_ASKED = 50
TOO_FEW = 0.01


def check(history: History) -> Alarm | None:
    """The agent meets negative rewards, and hardly a pair that was asked shows one."""
    events = math.fsum(value for _, value in history.points("rollout/negative_rewards"))
    asked = history.newest("preferences/asked")
    covered = history.newest("preferences/asked_negative")
    if asked is None or covered is None or events < LEAST_EVENTS or asked < LEAST_ASKED:
        return None
    if covered >= TOO_FEW * asked:
        return None
    return Alarm(
        "negatives",
        f"No negative reward is covered: the agent met {events:.0f} of them, but {covered:.0f} of "
        f"{asked:.0f} pairs show one, so the reward model cannot learn what to avoid.",
        "queries",
    )

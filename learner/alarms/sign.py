"""Which way round the reward is, nothing has decided."""

from __future__ import annotations

from learner.alarms.history import Alarm, History

FITS = 5
LEAST_DECIDED = 10
OF_ONE_MIND = 0.35
"""Three members of arbitrary sign order a quarter of all pairs alike."""

NO_BETTER_THAN_CHANCE = 0.55


def check(history: History) -> Alarm | None:
    """The agent learns from a model of next to no decided answers, or of members at odds."""
    fresh = history.last("reward_model/member_agreement", FITS)
    if len(fresh) < FITS:
        return None
    decided = history.newest("preferences/decided")
    if decided is not None and decided < LEAST_DECIDED:
        return Alarm(
            "sign",
            f"The reward's sign is arbitrary: only {decided:.0f} answers prefer one clip to the "
            "other, all others are ties, and the agent already learns from it.",
            "chart-ties",
        )
    heldout = history.last("reward_model/accuracy_heldout", FITS)
    if history.members < 2 or not heldout or max(heldout) > NO_BETTER_THAN_CHANCE:
        return None
    if max(fresh) > OF_ONE_MIND:
        return None
    return Alarm(
        "sign",
        f"The reward's sign is arbitrary: its members order only {fresh[-1]:.0%} of fresh pairs "
        f"alike and get {heldout[-1]:.0%} of held-out answers right, as chance would.",
        "chart-members",
    )

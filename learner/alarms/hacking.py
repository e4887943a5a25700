"""The agent pleases the reward model and nobody else (over-optimisation, Gao et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from learner.alarms.history import Alarm, History, Trial

CHECKPOINTS = 4
"""Three steps from one checkpoint to the next."""

PREDICTED = "evaluation/predicted_return_test"
TRUE = "evaluation/return_test"

NOTICEABLE = 0.2
"""Share of all that the predicted return ever moved: less is not called a rise."""

LEAST_TRIALS = 10
"""Decided pairs below which blind trials say nothing."""


def check(history: History) -> Alarm | None:
    """Predicted return up over three checkpoints, true return or blind trials flat or down.

    Where people judge enough trials, these decide alone: what people want need not be what the
    environment pays.
    """
    points = history.points(PREDICTED)[-CHECKPOINTS:]
    if len(points) < CHECKPOINTS:
        return None
    steps = [step for step, _ in points]
    first, last = points[0][1], points[-1][1]
    if not _rose(history, steps):
        return None
    trials = [one for one in history.trials if one.step > steps[0]]
    judged = _decided(trials) >= LEAST_TRIALS
    found = [] if judged and history.by_people else [_by_return(history, steps)]
    found += [_by_trials(trials)] if judged else []
    said = " and ".join(one for one in found if one is not None)
    if not said:
        return None
    return Alarm(
        "hacking",
        f"The agent may be exploiting the reward model: over the last {CHECKPOINTS} evaluations "
        f"its predicted return rose from {first:.3g} to {last:.3g}, while {said}.",
        "chart-predicted",
    )


def _by_return(history: History, steps: Sequence[int]) -> str | None:
    """What the true return says against the agent."""
    before, after = _true(history, steps)
    if before is None or after is None or after > before:
        return None
    return f"true return on unseen levels went from {before:.3g} to {after:.3g}"


def _by_trials(trials: Sequence[Trial]) -> str | None:
    """What enough blind trials say against it."""
    wins, decided = sum(one.wins for one in trials), _decided(trials)
    if 2 * wins > decided:
        return None
    return f"the newer agent won {wins} of {decided} blind trials against older ones"


def _rose(history: History, steps: Sequence[int]) -> bool:
    """Whether the predicted return rose by more than its intervals, and noticeably."""
    highs = history.at(f"{PREDICTED}_high", steps)
    lows = history.at(f"{PREDICTED}_low", steps)
    if highs[0] is None or lows[-1] is None or lows[-1] <= highs[0]:
        return False
    values = [value for _, value in history.points(PREDICTED)]
    first, last = values[-CHECKPOINTS], values[-1]
    return last - first >= NOTICEABLE * (max(values) - min(values))


def _true(history: History, steps: Sequence[int]) -> tuple[float | None, float | None]:
    """True return at the first and at the last of the checkpoints.

    Of both splits together: sixteen episodes of one are so noisy that a steady agent's return
    falls from one evaluation to the next in half of all cases.
    """
    test = history.at(TRUE, steps)
    train = history.at("evaluation/return_train", steps)
    both = [
        _mean([one for one in pair if one is not None]) for pair in zip(test, train, strict=True)
    ]
    if _pays_nothing(history):
        return None, None
    return both[0], both[-1]


def _pays_nothing(history: History) -> bool:
    """Whether the environment has no reward to tell anything by."""
    return all(value == 0 for _, value in history.points(TRUE))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _decided(trials: Sequence[Trial]) -> int:
    return sum(one.wins + one.losses for one in trials)

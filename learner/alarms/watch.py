"""All alarms at once: what they need, and which hold."""

from __future__ import annotations

from learner.alarms import (
    clock,
    disagreement,
    disk,
    ensemble,
    hacking,
    negatives,
    sign,
    ties,
)
from learner.alarms.history import Alarm, History

CHECKS = (
    hacking.check,
    clock.check,
    sign.check,
    ensemble.check,
    negatives.check,
    ties.check,
    disagreement.check,
    disk.check,
)

NAMES = (
    "evaluation/predicted_return_test",
    "evaluation/predicted_return_test_high",
    "evaluation/predicted_return_test_low",
    "evaluation/return_test",
    "evaluation/return_train",
    "preferences/alpha",
    "preferences/alpha_high",
    "preferences/alpha_pairs",
    "preferences/asked",
    "preferences/asked_negative",
    "preferences/decided",
    "preferences/tie_share",
    "preferences/total",
    "reward_model/accuracy_heldout",
    "reward_model/clock_accuracy_fresh",
    "reward_model/clock_agreement",
    "reward_model/disagreement",
    "reward_model/member_agreement",
    "rollout/negative_rewards",
    "system/disk_free_gib",
    "system/disk_free_percent",
    "time/time_elapsed",
)
"""Figures that the checks look at."""


def alarms(history: History) -> list[Alarm]:
    """Every alarm that holds, the gravest idea first."""
    return [alarm for check in CHECKS if (alarm := check(history)) is not None]

"""How well a reward model orders pairs that it could not have seen: uniform, fresh, true labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.config import SegmentConfig
from learner.evaluation.accuracy import clock_accuracy, preference_accuracy
from learner.evaluation.ordering import ordering
from learner.queries.pairs import sums_over, uniform_pairs
from learner.segments import Steps, draw_windows

AUDIT_PAIRS = 500
"""Uniform pairs per rollout on which the reward model is checked before it could see them."""


def pair_accuracy(
    rollout: Steps,
    rewards: NDArray[np.float32],
    logits: NDArray[np.float32],
    config: SegmentConfig,
    rng: np.random.Generator,
) -> dict[str, float]:
    """How well rewards order uniform pairs of a rollout that no fit has seen, and how well a clock.

    The labels are the environment's true reward, whoever answers the run's own pairs.

    Args:
        rollout: fresh; its true rewards are the labels.
        rewards: (K, T, N) as the members give them to the agent.
        logits: (K, T, N) before normalisation.
        config: which windows.
        rng: source of the pairs.
    """
    windows = draw_windows(rollout, 2 * AUDIT_PAIRS, config, rng)
    pairs = uniform_pairs(rollout, windows, AUDIT_PAIRS, rng)
    if not len(pairs):
        return {}
    true = sums_over(rollout.true_rewards, windows)
    # Where a reward is no number nothing can be compared; whoever asks about it refuses it.
    pairs = pairs[np.isfinite(true[pairs]).all(axis=1)]
    predicted, sure = (
        sums[:, pairs[:, 0]] - sums[:, pairs[:, 1]]
        for sums in (sums_over(rewards, windows), sums_over(logits, windows))
    )
    targets = 0.5 + 0.5 * np.sign(np.round(true[pairs[:, 0]] - true[pairs[:, 1]], 6))
    accuracy = preference_accuracy(predicted.mean(axis=0), targets)
    starts = np.array([rollout.episode_times[window.t, window.env] for window in windows])
    lengths = np.array([window.length for window in windows])
    clock = clock_accuracy(starts[pairs], lengths[pairs], targets)
    found = ordering(predicted, sure, starts[pairs], lengths[pairs], targets)
    if not accuracy.estimate.n:
        return found | {"reward_model/fresh_pairs_decided": 0.0}
    return found | {
        "reward_model/accuracy_fresh": accuracy.estimate.value,
        "reward_model/clock_accuracy_fresh": clock.strongest,
        "reward_model/fresh_pairs_decided": float(accuracy.estimate.n),
    }

"""Scores of an agent and its reward model on train and on unseen levels, baselines beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from learner.config import RunConfig, SegmentConfig
from learner.envs.protocol import Split
from learner.envs.registry import make
from learner.evaluation.accuracy import (
    Accuracy,
    ClockAccuracy,
    clock_accuracy,
    preference_accuracy,
)
from learner.evaluation.correlation import ReturnCorrelations, return_correlations
from learner.evaluation.episodes import Acting, Episodes, Rewarding, play
from learner.evaluation.estimates import Estimate
from learner.evaluation.performances import Performances
from learner.evaluation.returns import mean_return
from learner.seeds import generator, integer
from learner.segments import window_sums
from learner.trajectories import Trajectory

PAIRS = 1000
"""Window pairs by which a reward model is judged; their labels come from the true reward."""


@dataclass(frozen=True)
class RewardScores:
    """A reward model judged on episodes of unseen levels.

    Attributes:
        accuracy: on uniformly drawn window pairs that the true reward decides.
        clock: what a clock alone gets on the same pairs.
        returns: correlations of predicted and true return, the length baseline beside them.
    """

    accuracy: Accuracy
    clock: ClockAccuracy
    returns: ReturnCorrelations


@dataclass(frozen=True)
class Scores:
    """True returns on train and on unseen levels, and what the reward model makes of the latter.

    Attributes:
        train: mean return on training levels with its 95 % interval over episodes.
        test: the same on levels never used for training.
        lengths: mean episode length on train and on unseen levels, steps.
        steps: environment steps that scoring took; not part of the training budget.
        reward: None while there is no reward model.
        predicted: returns on train and on unseen levels as the reward model sees them.
        performances: how some of the episodes on unseen levels began, by level.
    """

    train: Estimate
    test: Estimate
    lengths: tuple[float, float]
    steps: int
    reward: RewardScores | None
    predicted: tuple[Estimate, Estimate] | None = None
    performances: Sequence[Trajectory] = ()

    def metrics(self) -> dict[str, float]:
        """Under the names that the monitor shows."""
        values = {
            "evaluation/return_train": self.train.value,
            "evaluation/return_test": self.test.value,
            "evaluation/return_test_low": self.test.low,
            "evaluation/return_test_high": self.test.high,
            "evaluation/generalisation_gap": self.train.value - self.test.value,
            "evaluation/length_train": self.lengths[0],
            "evaluation/length_test": self.lengths[1],
            "evaluation/steps": float(self.steps),
        }
        if self.reward is not None:
            values |= {
                "evaluation/preference_accuracy": self.reward.accuracy.estimate.value,
                "evaluation/clock_accuracy": self.reward.clock.strongest,
                "evaluation/return_spearman": self.reward.returns.spearman.value,
                "evaluation/length_spearman": self.reward.returns.spearman_length.value,
            }
        if self.predicted is not None:
            train, test = self.predicted
            values |= {
                "evaluation/predicted_return_train": train.value,
                "evaluation/predicted_return_test": test.value,
                "evaluation/predicted_return_test_low": test.low,
                "evaluation/predicted_return_test_high": test.high,
            }
        return {name: value for name, value in values.items() if np.isfinite(value)}


def score(
    agent: Acting,
    config: RunConfig,
    episodes: int,
    *,
    rewarding: Rewarding | None,
    mean_reward: float = 0.0,
    pulse: Callable[[], None],
    policy_step: int = 0,
) -> Scores:
    """Play episodes on train and on unseen levels and judge agent and reward model by them.

    Args:
        agent: samples its actions.
        config: the run's; equal configs are scored on equal levels.
        episodes: per split.
        rewarding: the reward model, if there is one.
        mean_reward: its mean over the labelled data, per step.
        pulse: called once a step.
        policy_step: environment steps that the agent has learned from.
    """
    recording = Performances(config.evaluation.trial_pairs, config.evaluation.trial_seconds)
    playing = partial(_play, agent, config, episodes, rewarding=rewarding, pulse=pulse)
    train, test = playing("train"), playing("test", recording=recording)
    rng = generator(config.seed, "score intervals")
    judged = None if rewarding is None else judge(test, config.segments, mean_reward, rng)
    returns = mean_return(train.returns, rng=rng), mean_return(test.returns, rng=rng)
    predicted = None
    if rewarding is not None:
        predicted = (
            mean_return(train.predicted_returns, rng=rng),
            mean_return(test.predicted_returns, rng=rng),
        )
    return Scores(
        train=returns[0],
        test=returns[1],
        lengths=(float(train.lengths.mean()), float(test.lengths.mean())),
        steps=train.steps + test.steps,
        reward=judged,
        predicted=predicted,
        performances=recording.recipes(config.environment, policy_step=policy_step),
    )


def _play(
    agent: Acting,
    config: RunConfig,
    episodes: int,
    split: Split,
    *,
    rewarding: Rewarding | None,
    pulse: Callable[[], None],
    recording: Performances | None = None,
) -> Episodes:
    """Episodes on levels of a split."""
    environments = make(
        config.environment,
        num_envs=episodes,
        seed=integer(config.seed, f"score {split}"),
        split=split,
        test_start_level=config.evaluation.test_start_level,
    )
    rng = generator(config.seed, f"score {split} actions")
    try:
        return play(agent, environments, rng, rewarding=rewarding, pulse=pulse, recording=recording)
    finally:
        environments.close()


def judge(
    episodes: Episodes, config: SegmentConfig, mean_reward: float, rng: np.random.Generator
) -> RewardScores:
    """Judge predicted against true rewards on window pairs and on whole episodes.

    Args:
        episodes: played, with what the reward model predicts.
        config: which windows are compared.
        mean_reward: of the reward model over the data it was fitted to, per step; that of the
            episodes at hand would be knowledge of the test.
        rng: source of windows and resamples.
    """
    which, starts, lengths = draw_windows(episodes, config, rng)
    # Cumulative sums of equal rewards may differ in the last bit; that is a tie, not an order.
    true = np.round(window_sums(episodes.true, starts, lengths, which), 6)
    predicted = np.round(window_sums(episodes.predicted, starts, lengths, which), 6)
    # An environment may pay what is not finite; nothing can be compared with that.
    known = np.isfinite(true).all(axis=1)
    true, predicted, starts, lengths = (of[known] for of in (true, predicted, starts, lengths))
    finite = np.isfinite(episodes.returns)
    difference = true[:, 0] - true[:, 1]
    targets = 0.5 + 0.5 * np.sign(difference)
    return RewardScores(
        accuracy=preference_accuracy(
            predicted[:, 0] - predicted[:, 1], targets, episodes=len(episodes.lengths)
        ),
        clock=clock_accuracy(starts, lengths, targets, episodes=len(episodes.lengths)),
        returns=return_correlations(
            episodes.predicted_returns[finite],
            episodes.returns[finite],
            episodes.lengths[finite],
            mean_reward=mean_reward,
            rng=rng,
        ),
    )


def draw_windows(
    episodes: Episodes, config: SegmentConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw pairs of windows of different episodes, by the rule of `learner.segments`.

    Uniform over episodes and over the steps at which a window starts; one that would run over
    the episode's end is moved back to end with it, or stops there, as configured.

    Returns:
        Episodes, first steps and lengths, each (PAIRS, 2).
    """
    count = len(episodes.lengths)
    first = rng.integers(count, size=PAIRS)
    other = (first + rng.integers(1, max(count, 2), size=PAIRS)) % count
    which = np.stack([first, other], axis=1)
    there = episodes.lengths[which]
    starts = rng.integers(there)
    if config.at_episode_end == "shift":
        starts = np.minimum(starts, np.maximum(there - config.length, 0))
    return which, starts, np.minimum(config.length, there - starts)

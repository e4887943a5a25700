"""Which pairs of a rollout are asked: how many are due, which windows, and the oracle's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from learner.agents.rollouts import Rollout
from learner.config import RunConfig
from learner.evaluation.accuracy import clock_accuracy, preference_accuracy
from learner.queries.schedules import labels_due
from learner.queries.selection import Selection, draw_pairs, select
from learner.seeds import generator
from learner.segments import Window, draw_windows, to_segment, window_observations
from learner.teachers import SyntheticTeacher
from learner.trajectories import Segment

AUDIT_PAIRS = 500
"""Uniform pairs per rollout on which the reward model is checked before it could see them."""

# k-center compares pairs by what is seen in them; every fifth frame at an eighth of the
# resolution tells windows apart as well as all of them, at a hundredth of the cost.
FEATURE_FRAMES = 5
FEATURE_PIXELS = 8


@dataclass(frozen=True)
class Question:
    """A pair to ask.

    Attributes:
        a: first segment, as a recipe.
        b: second segment.
        windows: where both lie in the rollout.
        selection: strategy, score and whether uniform selection would have asked it too.
        answer: the synthetic teacher's; None when people answer.
    """

    a: Segment
    b: Segment
    windows: tuple[Window, Window]
    selection: dict[str, Any]
    answer: str | None


class Asking:
    """Chooses pairs over a run; remembers how many were asked."""

    def __init__(self, config: RunConfig, rng: np.random.Generator) -> None:
        """Start a run's asking.

        Args:
            config: the run's.
            rng: source of windows and pairs; owned from here on.
        """
        self.config = config
        self.asked = 0
        self._rng = rng
        self._teacher = (
            SyntheticTeacher(
                config.teacher,
                generator(config.seed, "teacher"),
                segment_length=config.segments.length,
            )
            if config.teacher.kind == "synthetic"
            else None
        )

    def observe(self, rollout: Rollout) -> None:
        """Let a synthetic teacher's thresholds follow the policy."""
        if self._teacher is not None:
            for true_return, length, _ in rollout.finished:
                self._teacher.observe_episode(true_return, length)

    def due(self, steps: int, *, open_pairs: int, labels: int) -> int:
        """How many pairs to ask after so many steps.

        A synthetic teacher follows the schedule. For people so many pairs are kept open that
        they never wait, and never more than the budget still wants.
        """
        queries = self.config.queries
        if self._teacher is not None:
            return max(0, labels_due(queries, steps, self.config.total_steps) - self.asked)
        target = queries.open_target if self.asked else max(queries.initial, queries.open_target)
        return max(0, min(target, queries.budget - labels) - open_pairs)

    def choose(
        self, rollout: Rollout, logits: NDArray[np.float32] | None, count: int
    ) -> list[Question]:
        """Choose pairs of a rollout and let a synthetic teacher answer them.

        Args:
            rollout: with the anchors from which segments are replayed.
            logits: (members, T, N) unnormalised rewards; None before the first reward model.
            count: pairs wanted.
        """
        if not count:
            return []
        config = self.config.queries
        pool = count * config.candidates
        windows, pairs = self._draw(rollout, pool)
        if not len(pairs):
            return []  # the last, short rollout may hold no whole segment
        strategy = config.strategy if logits is not None else "uniform"
        features = _features(rollout, windows, pairs) if strategy in ("kcenter", "hybrid") else None
        selection = select(
            strategy,
            np.zeros((0, len(pairs)))
            if logits is None
            else expit(_differences(logits, windows, pairs)),
            count=count,
            uniform_share=config.uniform_share,
            rng=self._rng,
            features=features,
            asked=self.asked,
        )
        questions = [
            question
            for rank in range(len(selection.indices))
            if (question := self._question(rollout, windows, pairs, selection, rank))
        ]
        self.asked += len(questions)
        return questions

    def state_dict(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        return {
            "asked": self.asked,
            "rng": self._rng.bit_generator.state,
            "teacher": self._teacher.state_dict() if self._teacher else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self.asked = state["asked"]
        self._rng.bit_generator.state = state["rng"]
        if self._teacher is not None:
            self._teacher.load_state_dict(state["teacher"])

    def _draw(self, rollout: Rollout, pool: int) -> tuple[list[Window], NDArray[np.int64]]:
        windows = draw_windows(rollout, 2 * pool, self.config.segments, self._rng)
        return windows, _pairs(rollout, windows, pool, self._rng)

    def _question(
        self,
        rollout: Rollout,
        windows: list[Window],
        pairs: NDArray[np.int64],
        selection: Selection,
        rank: int,
    ) -> Question | None:
        """The rank-th pick as a question; None if the synthetic teacher skips it."""
        index = int(selection.indices[rank])
        window_a, window_b = (windows[int(one)] for one in pairs[index])
        environment = self.config.environment
        a = to_segment(rollout, window_a, environment)
        b = to_segment(rollout, window_b, environment)
        answer = None
        if self._teacher is not None:
            answer = self._teacher.answer(a.rewards, b.rewards)
            if answer is None:
                return None
        facts = {
            "strategy": selection.strategies[rank],
            "score": round(float(selection.scores[rank]), 6),
            "uniform_too": bool(index in selection.uniform_indices),
        }
        return Question(a, b, (window_a, window_b), facts, answer)


def pair_accuracy(
    rollout: Rollout, rewards: NDArray[np.float32], config: RunConfig, rng: np.random.Generator
) -> dict[str, float]:
    """How well rewards order uniform pairs of a rollout that no fit has seen, and how well a clock.

    Args:
        rollout: fresh; its true rewards are the labels.
        rewards: (T, N) as the reward model gives them.
        config: the run's.
        rng: source of the pairs.
    """
    windows = draw_windows(rollout, 2 * AUDIT_PAIRS, config.segments, rng)
    pairs = _pairs(rollout, windows, AUDIT_PAIRS, rng)
    if not len(pairs):
        return {}
    true = _window_sums(rollout.true_rewards[None], windows)[0]
    predicted = _window_sums(rewards[None], windows)[0]
    targets = 0.5 + 0.5 * np.sign(np.round(true[pairs[:, 0]] - true[pairs[:, 1]], 6))
    accuracy = preference_accuracy(predicted[pairs[:, 0]] - predicted[pairs[:, 1]], targets)
    starts = np.array([rollout.episode_times[window.t, window.env] for window in windows])
    lengths = np.array([window.length for window in windows])
    clock = clock_accuracy(starts[pairs], lengths[pairs], targets)
    if not accuracy.estimate.n:
        return {"reward_model/fresh_pairs_decided": 0.0}
    return {
        "reward_model/accuracy_fresh": accuracy.estimate.value,
        "reward_model/clock_accuracy_fresh": clock.strongest,
        "reward_model/fresh_pairs_decided": float(accuracy.estimate.n),
    }


def _pairs(
    rollout: Rollout, windows: list[Window], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    starts = np.array([window.t for window in windows], dtype=np.int64)
    envs = np.array([window.env for window in windows], dtype=np.int64)
    # An episode is named by its environment and the step, negative if before this rollout,
    # at which it began.
    begun = starts - rollout.episode_times[starts, envs]
    episodes = np.unique(np.stack([envs, begun], axis=1), axis=0, return_inverse=True)[1]
    return draw_pairs(episodes.reshape(-1), starts, count, rng)


def _window_sums(rewards: NDArray[np.float32], windows: list[Window]) -> NDArray[np.float64]:
    """Sums over windows: (K, T, N) -> (K, windows)."""
    members, steps, envs = rewards.shape
    summed = np.zeros((members, steps + 1, envs))
    np.cumsum(rewards, axis=1, dtype=np.float64, out=summed[:, 1:])
    env = np.array([window.env for window in windows])
    start = np.array([window.t for window in windows])
    end = start + np.array([window.length for window in windows])
    sums: NDArray[np.float64] = summed[:, end, env] - summed[:, start, env]
    return sums


def _differences(
    logits: NDArray[np.float32], windows: list[Window], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(K, T, N) rewards -> (K, pairs) differences of summed rewards, first less second."""
    sums = _window_sums(logits, windows)
    difference: NDArray[np.float64] = sums[:, pairs[:, 0]] - sums[:, pairs[:, 1]]
    return difference


def _features(
    rollout: Rollout, windows: list[Window], pairs: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(pairs, features): what is seen in both windows of each pair, coarsely."""
    observations, _ = window_observations(rollout, windows)
    coarse = observations[:, ::FEATURE_FRAMES]
    if coarse.ndim == 5:  # (windows, frames, H, W, C)
        coarse = coarse[:, :, ::FEATURE_PIXELS, ::FEATURE_PIXELS].astype(np.float32) / 255
    flat = coarse.reshape(len(windows), -1).astype(np.float32)
    return np.concatenate([flat[pairs[:, 0]], flat[pairs[:, 1]]], axis=1)

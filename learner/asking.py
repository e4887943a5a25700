"""Which pairs of a rollout are asked: how many are due, which windows, and the oracle's answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from learner.agents.rollouts import Rollout
from learner.config import RunConfig
from learner.demonstrations import Demonstrations, Drawn
from learner.iteration import Answering
from learner.preferences import LabelledPairs, SegmentStore
from learner.queries.features import labelled_features, pool_features
from learner.queries.pairs import Pool, draw_pool, sums_over, uniform_pairs
from learner.queries.schedules import initial_share, labels_due
from learner.queries.selection import (
    Selection,
    Strategy,
    disagreement,
    mean_entropy,
    select,
    spread,
    uniform_turns,
)
from learner.rewards.objective import UnlabelledPairs
from learner.seeds import generator
from learner.segments import Window, draw_windows, to_segment
from learner.teachers import SyntheticTeacher
from learner.trajectories import Segment

UNLABELLED_PAIRS = 256
"""Pairs per fit that a reward model may label itself; 64x64x3 images of 25 steps take 157 MB."""

DEMONSTRATED = "demonstration"
"""Strategy noted with pairs that show a demonstration beside the agent."""

_SHOWN = {"strategy": DEMONSTRATED, "score": 0.0, "uniform_too": False}

SPARE = 4
"""Picks considered per pair asked, so that no window need be asked about twice at once."""


@dataclass(frozen=True)
class Side:
    """One of the two segments of a pair.

    Attributes:
        segment: as a recipe.
        seen: (length, ...) what the agent saw in it before each action; may be a view of a
            rollout, good until the next one.
    """

    segment: Segment
    seen: NDArray[Any]


@dataclass(frozen=True)
class Question:
    """A pair to ask.

    Attributes:
        a: first segment.
        b: second segment.
        selection: strategy, score and whether uniform selection would have asked it too.
        answer: where it is known at once; None when people answer.
        teacher: whose answer that is.
    """

    a: Side
    b: Side
    selection: dict[str, Any]
    answer: str | None
    teacher: Answering = "synthetic"

    @property
    def shows_negative(self) -> bool:
        """Whether a true reward in either clip is negative; for watching alone."""
        return any(bool((side.segment.rewards < 0).any()) for side in (self.a, self.b))


@dataclass(frozen=True)
class _Draft:
    """A pair before anybody has seen it."""

    a: Side
    b: Side
    selection: dict[str, Any]


class Asking:
    """Chooses pairs over a run; remembers how many were asked.

    Attributes:
        asked: pairs so far.
        asked_negative: those of them that show what to avoid.
        figures: of the last choice, the strategy's mean score of the pairs asked and of those that
            uniform selection would have asked out of the same pool, with what the reward model
            predicted of both: by these a strategy can be judged afterwards.
    """

    def __init__(self, config: RunConfig, rng: np.random.Generator) -> None:
        """Start a run's asking.

        Args:
            config: the run's.
            rng: source of windows and pairs; owned from here on.
        """
        self.config = config
        self.asked = 0
        self.asked_negative = 0
        self.figures: dict[str, float] = {}
        self._behind = 0  # uniform pairs that the strategies' pairs so far lack
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

        The initial pairs are spread over the untrained policy's steps. Later a synthetic teacher
        follows the schedule. For people so many pairs are kept open that they never wait, and
        never more than the budget still wants.
        """
        queries = self.config.queries
        if self._teacher is not None:
            return max(0, labels_due(self.config, steps) - self.asked)
        target, share = queries.open_target, initial_share(self.config, steps)
        first = max(queries.initial, target)
        if share < 1.0 or self.asked < first:
            target = math.ceil(share * first) - self.asked + open_pairs
        return max(0, min(target, queries.budget - labels) - open_pairs)

    def choose(
        self,
        rollout: Rollout,
        logits: NDArray[np.float32] | None,
        count: int,
        demonstrations: Demonstrations | None = None,
        *,
        answered: Callable[[], LabelledPairs] | None = None,
    ) -> list[Question]:
        """Choose pairs of a rollout and let a synthetic teacher answer them.

        Args:
            rollout: with the anchors from which segments are replayed.
            logits: (members, T, N) unnormalised rewards; None before the first reward model.
            count: pairs wanted.
            demonstrations: shown in some of the pairs, and preferred to their clips, as the
                config says; for the first pairs only.
            answered: the labels so far, which k-center keeps away from.
        """
        self.figures = {}
        if not count:
            return []
        config = self.config.queries
        pool = draw_pool(rollout, count, config.candidates, self.config.segments, self._rng)
        windows, pairs = pool.windows, pool.pairs
        if not len(pairs):
            return []  # the last, short rollout may hold no whole segment
        predicted = (
            np.zeros((0, len(pairs)))
            if logits is None
            else expit(_differences(logits, windows, pairs))
        )
        selection = self._select(rollout, pool, predicted, count, answered)
        picks = spread(pairs[selection.indices], selection.strategies, count)
        strategy = self._strategy(predicted)
        if strategy != "uniform":
            self.figures = _figures(selection, picks, count, predicted)
        drafts = [
            _Draft(
                *self._sides(rollout, pool, pairs[selection.indices[rank]]),
                _facts(selection, rank, count, predicted),
            )
            for rank in picks
        ]
        if demonstrations is None:
            return self._put(drafts, strategy)
        rng = generator(self.config.seed, f"demonstrations {rollout.iteration}")
        questions = self._put(self._beside(drafts, demonstrations, rng), strategy)
        return questions + self._preferred(questions, demonstrations, rng)

    def _strategy(self, predicted: NDArray[np.float64]) -> Strategy:
        """The configured one, once there are members: `predicted` is (members, pairs)."""
        return self.config.queries.strategy if len(predicted) else "uniform"

    def _select(
        self,
        rollout: Rollout,
        pool: Pool,
        predicted: NDArray[np.float64],
        count: int,
        answered: Callable[[], LabelledPairs] | None,
    ) -> Selection:
        """The pairs of a pool that are worth asking, the best first, some to spare."""
        strategy = self._strategy(predicted)
        features = known = None
        if strategy in ("kcenter", "hybrid"):
            length = self.config.segments.length
            features = pool_features(rollout, pool.windows, pool.pairs, length)
            if answered is not None and len(labels := answered()):
                known = labelled_features(labels)
        return select(
            strategy,
            predicted,
            count=count * SPARE,
            uniform_share=self.config.queries.uniform_share,
            rng=self._rng,
            features=features,
            labelled_features=known,
            asked=self.asked,
            behind=self._behind if strategy != "uniform" else 0,
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        return {
            "asked": self.asked,
            "asked_negative": self.asked_negative,
            "behind": self._behind,
            "rng": self._rng.bit_generator.state,
            "teacher": self._teacher.state_dict() if self._teacher else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self.asked = state["asked"]
        self.asked_negative = state.get("asked_negative", 0)
        self._behind = state.get("behind", 0)
        self._rng.bit_generator.state = state["rng"]
        if self._teacher is not None:
            self._teacher.load_state_dict(state["teacher"])

    def _sides(self, rollout: Rollout, pool: Pool, pair: NDArray[np.int64]) -> tuple[Side, Side]:
        a, b = (self._side(rollout, pool, int(one)) for one in pair)
        return a, b

    def _side(self, rollout: Rollout, pool: Pool, index: int) -> Side:
        window, begin = pool.windows[index], int(pool.begins[index])
        seen = rollout.observations[window.t : window.t + window.length, window.env]
        return Side(to_segment(rollout, window, self.config.environment, begin=begin), seen)

    def _put(self, drafts: list[_Draft], strategy: Strategy) -> list[Question]:
        """Ask, and count, all pairs but those that the synthetic teacher skips."""
        questions = []
        for draft in drafts:
            answer = None
            if self._teacher is not None:
                rewards = (side.segment.rewards for side in (draft.a, draft.b))
                answer = self._teacher.answer(*rewards)
                if answer is None:
                    continue
            questions.append(Question(draft.a, draft.b, draft.selection, answer))
        if strategy != "uniform":
            names = [question.selection["strategy"] for question in questions]
            own = len(names) - names.count(DEMONSTRATED)
            due = uniform_turns(self.asked, own, self.config.queries.uniform_share).sum()
            self._behind += int(due) - names.count("uniform")
        self.asked += len(questions)
        self.asked_negative += sum(question.shows_negative for question in questions)
        return questions

    def _beside(
        self, drafts: list[_Draft], demonstrations: Demonstrations, rng: np.random.Generator
    ) -> list[_Draft]:
        """The share of pairs that are to show a demonstration show one instead of their second."""
        share = self.config.demonstrations.initial_share
        chosen = rng.permutation(len(drafts))[: round(share * len(drafts))]
        shown = list(drafts)
        for index in np.sort(chosen):
            shown[index] = _Draft(drafts[index].a, Side(*demonstrations.draw(rng)), _SHOWN)
        return shown

    def _preferred(
        self, questions: list[Question], demonstrations: Demonstrations, rng: np.random.Generator
    ) -> list[Question]:
        """A random demonstration preferred to every clip of the agent (Ibarz 2018, A.2)."""
        if not self.config.demonstrations.autolabels:
            return []
        clips = [
            clip
            for question in questions
            for clip in (question.a, question.b)
            if clip is question.a or question.selection["strategy"] != DEMONSTRATED
        ]
        return [
            Question(Side(*demonstrations.draw(rng)), clip, _SHOWN, "a", "demonstration")
            for clip in clips
        ]


def ranked_pairs(drawn: Sequence[tuple[Drawn, Drawn, float]]) -> list[Question]:
    """Parts of ranked demonstrations as pairs that are answered already."""
    answers = {1.0: "a", 0.5: "tie", 0.0: "b"}
    return [
        Question(Side(*a), Side(*b), {"strategy": "ranking"}, answers[target], "ranking")
        for a, b, target in drawn
    ]


def _facts(
    selection: Selection, rank: int, count: int, predicted: NDArray[np.float64]
) -> dict[str, Any]:
    """What is stored of why the rank-th pair was picked, of `count` asked.

    `predicted` is (K, pairs): each member's probability that the first is better.
    """
    index = selection.indices[rank]
    facts: dict[str, Any] = {
        "strategy": selection.strategies[rank],
        "score": round(float(selection.scores[rank]), 6),
        "uniform_too": bool(index in selection.uniform_indices[:count]),
    }
    if len(predicted):
        facts["predicted"] = round(float(predicted[:, index].mean()), 4)
        facts["members"] = [round(float(one), 4) for one in predicted[:, index]]
        facts["doubt"] = _doubt(predicted[:, [index]])
        facts["uniform_doubt"] = _doubt(predicted[:, selection.uniform_indices[:count]])
    return facts


def _doubt(predicted: NDArray[np.float64]) -> dict[str, float]:
    """How much (K, pairs) predictions differ between members, and how undecided they are: means."""
    found = {"disagreement": disagreement(predicted), "entropy": mean_entropy(predicted)}
    return {name: round(float(values.mean()), 6) for name, values in found.items() if len(values)}


def _figures(
    selection: Selection, picks: list[int], count: int, predicted: NDArray[np.float64]
) -> dict[str, float]:
    """Means over the pairs asked, and over those that uniform selection would have asked."""
    figures = {}
    sets = {"": selection.indices[picks], "_uniform": selection.uniform_indices[:count]}
    for name, indices in sets.items():
        chances = predicted[:, indices].mean(axis=0)
        figures[f"preferences/score{name}"] = float(selection.values[indices].mean())
        figures[f"preferences/certainty{name}"] = float(np.maximum(chances, 1 - chances).mean())
    return figures


def unlabelled_pairs(
    rollout: Rollout, config: RunConfig, rng: np.random.Generator
) -> UnlabelledPairs:
    """Uniform pairs of a rollout that nobody is asked, for pseudo-labels (SURF).

    Args:
        rollout: at hand.
        config: the run's.
        rng: source of the pairs.
    """
    windows = draw_windows(rollout, 2 * UNLABELLED_PAIRS, config.segments, rng)
    store = SegmentStore(config.segments.length)
    for key, window in enumerate(windows):
        steps = slice(window.t, window.t + window.length)
        store.add(
            key,
            rollout.observations[steps, window.env],
            rollout.actions[steps, window.env],
            episode="",  # of no consequence: these are never held out
        )
    return UnlabelledPairs(store, uniform_pairs(rollout, windows, UNLABELLED_PAIRS, rng))


def _differences(
    logits: NDArray[np.float32], windows: list[Window], pairs: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(K, T, N) rewards -> (K, pairs) differences of summed rewards, first less second."""
    sums = sums_over(logits, windows)
    difference: NDArray[np.float64] = sums[:, pairs[:, 0]] - sums[:, pairs[:, 1]]
    return difference

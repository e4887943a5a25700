"""What a reward is worth on demonstrations of unseen levels, the same for models and baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.evaluation.accuracy import CLOCK_LIMIT, clock_accuracy, preference_accuracy
from learner.evaluation.calibration import calibration, joint_logits
from learner.evaluation.correlation import return_correlations, spearman, time_correlation
from learner.evaluation.events import event_means
from learner.evaluation.proxy import dard_proxy
from learner.rankings.orders import RankingError, by_true_return
from learner.rankings.snippets import Snippets, draw_snippets
from learner.seeds import generator
from learner.study.bank import Bank
from learner.study.config import StudyConfig

TRUE_ALIGNED = "true_aligned"
"""Pairs that start at one time, labelled by their own true reward: a clock gets half of them."""


@dataclass(frozen=True)
class EvaluationSet:
    """Snippet pairs of test demonstrations.

    Attributes:
        snippets: the pairs.
        warning: what to know before quoting an accuracy on them; empty if nothing.
        facts: how a clock does on them, and how far inherited labels agree with true ones.
    """

    snippets: Snippets
    warning: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Predicted:
    """A reward of every step of the test demonstrations.

    Attributes:
        rewards: (steps,) as the labels left them, without a constant chosen for them.
        centre: mean reward per step of the training snippets.
        constant: per step, that the order of training demonstrations speaks for; None = unknown.
        nats: (K, steps) each member's reward before any normalisation, as the Bradley-Terry loss
            sees it; None of a reward that was not fitted and claims no probabilities.
    """

    rewards: NDArray[np.floating[Any]]
    centre: float = 0.0
    constant: float | None = None
    nats: NDArray[np.float32] | None = None

    def per_episode(self, bank: Bank) -> list[NDArray[np.float64]]:
        """Per demonstration, (steps,) rewards."""
        return _per_episode(self.rewards, bank)


def evaluation_sets(
    study: StudyConfig, game: str, bank: Bank
) -> tuple[dict[str, EvaluationSet], list[str]]:
    """The pairs that all reward models of a game are judged on.

    Returns:
        Sets by name, and one line for each that could not be made.
    """
    ranking, rewards = by_true_return(bank.returns), bank.reward_lists()
    wanted = {
        str(rule): study.snippets.model_copy(update={"rule": rule}) for rule in study.judging.rules
    }
    wanted[TRUE_ALIGNED] = study.snippets.model_copy(
        update={"rule": "true_labels", "label_starts": "aligned", "ties": "drop"}
    )
    sets: dict[str, EvaluationSet] = {}
    problems: list[str] = []
    for name, config in wanted.items():
        counted = config.model_copy(update={"pairs": study.judging.pairs})
        rng = generator(study.seed, f"evaluation set {name} of {game}")
        try:
            sets[name] = _described(draw_snippets(ranking, rewards, counted, rng), rewards)
        except RankingError as error:
            problems.append(f"evaluation set {name}: {error}")
    return sets, problems


def judge(
    predicted: Predicted,
    bank: Bank,
    sets: Mapping[str, EvaluationSet],
    study: StudyConfig,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Every statistic of a reward on the test demonstrations, as plain values."""
    per_episode = predicted.per_episode(bank)
    returns = np.array([one.sum() for one in per_episode])
    # A fitted reward is summed over the frames it was fitted on, a given one over all steps.
    stride = 1 if predicted.nats is None else study.snippets.stride
    figures: dict[str, Any] = {
        "accuracy": {
            name: accuracy(one.snippets, per_episode, stride) for name, one in sets.items()
        },
        "whole": _whole(returns, bank.returns),
        "returns": {
            name: asdict(value)
            for name, value in vars(
                return_correlations(
                    returns,
                    bank.returns,
                    bank.lengths,
                    predicted.centre,
                    rng=rng,
                    resamples=study.judging.resamples,
                )
            ).items()
        },
        "time": asdict(time_correlation(per_episode)),
        "events": event_means(
            per_episode, bank.reward_lists(), study.judging.window, rng, study.judging.resamples
        ),
        "dard_proxy": dard_proxy(per_episode, bank.reward_lists(), gamma=0.99),
    }
    if predicted.constant is not None:
        known = returns + predicted.constant * bank.lengths
        found = spearman(known, bank.returns, rng=rng, resamples=study.judging.resamples)
        figures["returns"]["spearman_ranked"] = asdict(found)
        figures["constant"] = predicted.constant
    if predicted.nats is not None and TRUE_ALIGNED in sets:
        members = [_per_episode(one, bank) for one in predicted.nats]
        figures["calibration"] = _calibration(sets[TRUE_ALIGNED].snippets, members, stride)
    return figures


def accuracy(
    snippets: Snippets, per_episode: Sequence[NDArray[np.floating[Any]]], stride: int
) -> dict[str, Any]:
    """Accuracy on decided pairs, with an interval that allows for shared demonstrations."""
    predicted = differences(snippets, per_episode, stride)
    found = preference_accuracy(predicted, snippets.targets, episodes=len(per_episode))
    return {**asdict(found.estimate), "ties": found.ties}


def differences(
    snippets: Snippets, per_episode: Sequence[NDArray[np.floating[Any]]], stride: int
) -> NDArray[np.float64]:
    """(P,) reward of each pair's first snippet minus its second's, over the frames seen."""
    sums = np.array(
        [
            [
                per_episode[demo][start : start + steps : stride].sum(dtype=np.float64)
                for demo, start, steps in zip(*sides, strict=True)
            ]
            for sides in zip(
                snippets.demonstrations, snippets.starts, snippets.lengths, strict=True
            )
        ]
    ).reshape(-1, 2)
    # Sums of equal rewards may differ in the last bit; that is a tie, not an order.
    rounded: NDArray[np.float64] = np.round(sums[:, 0] - sums[:, 1], 6)
    return rounded


def _described(snippets: Snippets, rewards: Sequence[NDArray[np.float32]]) -> EvaluationSet:
    """A set with how a clock does on it."""
    targets, count = snippets.targets, len(rewards)
    clock = clock_accuracy(snippets.starts, snippets.lengths, targets, episodes=count)
    honest = preference_accuracy(differences(snippets, rewards, 1), targets, episodes=count)
    warning = ""
    if clock.leaks:
        warning = (
            f"a clock alone orders {clock.strongest:.2f} of these pairs (limit {CLOCK_LIMIT}), so "
            "accuracy on them is no evidence of learning"
        )
    facts = {
        "clock": clock.strongest,
        "start": asdict(clock.start.estimate),
        "end": asdict(clock.end.estimate),
        "length": asdict(clock.length.estimate),
        "true_labels_agree": asdict(honest.estimate),
        "ties": clock.start.ties,
        "pairs": len(snippets),
    }
    return EvaluationSet(snippets, warning, facts)


def _whole(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> dict[str, Any]:
    """Accuracy over all pairs of whole demonstrations that differ in true return."""
    first, second = np.triu_indices(len(true), k=1)
    difference = np.round(true[first] - true[second], 6)
    found = preference_accuracy(
        np.round(predicted[first] - predicted[second], 6),
        0.5 + 0.5 * np.sign(difference),
        episodes=len(true),
    )
    return {**asdict(found.estimate), "ties": found.ties}


def _calibration(
    snippets: Snippets, members: Sequence[Sequence[NDArray[np.float64]]], stride: int
) -> dict[str, Any]:
    """Of the members' mean probability; the scale that agents are paid in says nothing here."""
    logits = joint_logits([differences(snippets, one, stride) for one in members])
    values = asdict(calibration(logits, snippets.targets))
    return values


def _per_episode(rewards: NDArray[np.floating[Any]], bank: Bank) -> list[NDArray[np.float64]]:
    assert rewards.shape == (bank.offsets[-1],), (rewards.shape, bank.offsets[-1])
    whole = np.asarray(rewards, dtype=np.float64)
    return [whole[bank.steps(index)] for index in range(len(bank))]

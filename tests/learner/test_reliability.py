from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from scipy.optimize import check_grad, minimize
from scipy.special import expit

from learner.reliability import (
    PRIOR_ACCURACY,
    Answers,
    ReliabilityError,
    _crowd_loss,
    crowd_bradley_terry,
    one_coin,
)

RELIABILITIES = np.array([0.98, 0.95, 0.90, 0.80, 0.50, 0.10])


def simulate(seed: int, pairs: int = 400, items: int = 30) -> tuple[Answers, np.ndarray]:
    """Every one of six people answers every pair; returns the answers and the true scores."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=2.0, size=items)
    drawn = np.array([rng.choice(items, 2, replace=False) for _ in range(pairs)])
    first, second = np.repeat(drawn, 6, axis=0).T
    person = np.tile(np.arange(6), pairs)
    faithful = rng.random(6 * pairs) < RELIABILITIES[person]
    better = rng.random(6 * pairs) < expit(scores[first] - scores[second])
    return Answers(first, second, person, better == faithful), scores


def plain_bradley_terry(answers: Answers, ridge: float = 0.1) -> np.ndarray:
    signs = np.where(answers.preferred_first, 1.0, -1.0)

    def loss(scores: np.ndarray) -> float:
        margin = signs * (scores[answers.first] - scores[answers.second])
        return float(np.logaddexp(0, -margin).sum() + ridge / 2 * scores @ scores)

    return np.asarray(minimize(loss, np.zeros(answers.items)).x)


@pytest.mark.parametrize("seed", range(5))
def test_crowd_bt_finds_the_adversary_and_ranks_better_than_plain_bradley_terry(seed: int) -> None:
    answers, scores = simulate(seed)
    found = crowd_bradley_terry(answers)
    assert found.accuracy[5] < 0.2
    assert abs(found.accuracy[4] - 0.5) < 0.12
    assert found.accuracy[:4].min() > 0.7
    crowd = scipy.stats.spearmanr(found.scores, scores).statistic
    plain = scipy.stats.spearmanr(plain_bradley_terry(answers), scores).statistic
    assert crowd > 0.95
    assert crowd > plain


def test_crowd_bt_on_average_recovers_everybodys_reliability() -> None:
    found = np.mean([crowd_bradley_terry(simulate(seed)[0]).accuracy for seed in range(8)], axis=0)
    assert found == pytest.approx(RELIABILITIES, abs=0.04)


def test_the_gradient_is_that_of_the_loss() -> None:
    answers, _ = simulate(1, pairs=20, items=6)
    point = np.random.default_rng(2).normal(size=12)
    error = check_grad(
        lambda p: _crowd_loss(p, answers, 0.1)[0],
        lambda p: _crowd_loss(p, answers, 0.1)[1],
        point,
    )
    assert error < 1e-4 * np.linalg.norm(_crowd_loss(point, answers, 0.1)[1])


def consistent(seed: int) -> tuple[Answers, np.ndarray]:
    """As `simulate`, but each pair has one right answer: returns it too, by pair."""
    answers, scores = simulate(seed)
    rng = np.random.default_rng(seed + 100)
    right = scores[answers.first] > scores[answers.second]
    faithful = rng.random(len(right)) < RELIABILITIES[answers.person]
    return Answers(answers.first, answers.second, answers.person, right == faithful), scores


@pytest.mark.parametrize("seed", range(3))
def test_one_coin_finds_reliabilities_and_beats_the_majority(seed: int) -> None:
    answers, scores = consistent(seed)
    found = one_coin(answers)
    assert found.accuracy == pytest.approx(RELIABILITIES, abs=0.05)
    right = scores[found.pairs[:, 0]] > scores[found.pairs[:, 1]]
    fitted = ((found.preference > 0.5) == right).mean()
    lower = np.minimum(answers.first, answers.second)
    upper = np.maximum(answers.first, answers.second)
    votes = np.zeros((answers.items, answers.items))
    says_lower = answers.preferred_first ^ (answers.first > answers.second)
    np.add.at(votes, (lower, upper), np.where(says_lower, 1, -1))
    of_pair = votes[tuple(found.pairs.T)]
    majority = np.where(of_pair == 0, 0.5, (of_pair > 0) == right).mean()
    assert fitted > 0.97
    assert fitted > majority


def test_which_segment_is_named_first_does_not_matter() -> None:
    answers, _ = consistent(0)
    turned = np.random.default_rng(0).random(len(answers.first)) < 0.5
    other = Answers(
        np.where(turned, answers.second, answers.first),
        np.where(turned, answers.first, answers.second),
        answers.person,
        answers.preferred_first ^ turned,
    )
    assert one_coin(other).accuracy == pytest.approx(one_coin(answers).accuracy)
    assert one_coin(other).preference == pytest.approx(one_coin(answers).preference)
    assert crowd_bradley_terry(other).accuracy == pytest.approx(
        crowd_bradley_terry(answers).accuracy, abs=1e-3
    )


def test_a_newcomer_is_trusted_as_much_as_the_prior_says() -> None:
    answers = Answers(np.array([0]), np.array([1]), np.array([3]), np.array([True]))
    assert one_coin(answers).accuracy == pytest.approx(PRIOR_ACCURACY, abs=0.01)
    assert crowd_bradley_terry(answers).accuracy == pytest.approx(PRIOR_ACCURACY, abs=0.03)


def test_answers_that_tell_nothing_are_refused() -> None:
    none = np.empty(0, np.int64)
    with pytest.raises(ReliabilityError, match="at least one"):
        Answers(none, none, none, np.empty(0, bool))
    with pytest.raises(ReliabilityError, match="with itself"):
        Answers(np.array([1]), np.array([1]), np.array([0]), np.array([True]))

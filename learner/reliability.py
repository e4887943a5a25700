"""How far each person's answers can be trusted, estimated from the answers alone.

One-coin Dawid-Skene (Dawid and Skene 1979, one accuracy per person) from repeated pairs;
Crowd-BT (Chen et al. 2013) also from pairs that were asked once, through the segments they share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from learner.errors import LearnerError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# Before any answer a person is taken to be right nine times in ten; worth five answers. A mean
# above one half also settles which way round the solution is: turning every preference and every
# person over would explain the answers equally well.
PRIOR_ACCURACY = 0.9
PRIOR_STRENGTH = 5.0


class ReliabilityError(LearnerError):
    """Answers that no reliability can be estimated from; the message is one line."""


@dataclass(frozen=True)
class Answers:
    """Decided answers, one row each; ties and "can't tell" are left out beforehand.

    Attributes:
        first: (n,) item (segment) that is named first, by a fixed order and not by side.
        second: (n,) the other one.
        person: (n,) who answered.
        preferred_first: (n,) bool, True if the first was called better.
    """

    first: Indices
    second: Indices
    person: Indices
    preferred_first: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.first, self.second, self.person, self.preferred_first)}
        assert len(shapes) == 1, shapes
        if not len(self.first):
            raise ReliabilityError("reliability needs at least one decided answer; collect some")
        if (self.first == self.second).any():
            raise ReliabilityError("an answer compares a segment with itself; leave it out")

    @property
    def people(self) -> int:
        """How many people there are: the largest index plus one."""
        return int(self.person.max()) + 1

    @property
    def items(self) -> int:
        """How many items there are: the largest index plus one."""
        return int(max(self.first.max(), self.second.max())) + 1


@dataclass(frozen=True)
class OneCoin:
    """One-coin Dawid-Skene's estimate.

    Attributes:
        accuracy: (people,) how often each is right; below one half is worse than guessing.
        pairs: (pairs, 2) the different pairs, the lower item first.
        preference: (pairs,) probability that the first of each is the better one.
    """

    accuracy: Floats
    pairs: Indices
    preference: Floats


@dataclass(frozen=True)
class CrowdBradleyTerry:
    """Crowd-BT's estimate.

    Attributes:
        accuracy: (people,) eta: how often each answers as the scores would have it.
        scores: (items,) in logits, mean 0.
    """

    accuracy: Floats
    scores: Floats


def one_coin(answers: Answers, *, rounds: int = 200, tolerance: float = 1e-8) -> OneCoin:
    """Fit one accuracy per person and one preference per pair by EM.

    Starts from the majority; both sides of a pair are equally likely beforehand, because which is
    named first is arbitrary.

    Args:
        answers: decided answers; only pairs that several people answered tell anything.
        rounds: most EM rounds.
        tolerance: stop when no accuracy moves by more.
    """
    turned = answers.first > answers.second
    low = np.where(turned, answers.second, answers.first)
    high = np.where(turned, answers.first, answers.second)
    pairs, pair = np.unique(np.stack([low, high], axis=1), axis=0, return_inverse=True)
    pair = pair.reshape(-1)
    says_low = answers.preferred_first ^ turned
    asked = np.bincount(answers.person, minlength=answers.people)
    votes = np.bincount(pair, weights=np.where(says_low, 1.0, -1.0))
    preference = (1.0 + np.sign(votes)) / 2.0
    accuracy = np.full(answers.people, PRIOR_ACCURACY)
    for _ in range(rounds):
        right = np.where(says_low, preference[pair], 1.0 - preference[pair])
        hits = np.bincount(answers.person, weights=right, minlength=answers.people)
        before = accuracy
        accuracy = (hits + PRIOR_ACCURACY * PRIOR_STRENGTH) / (asked + PRIOR_STRENGTH)
        weight = logit(accuracy)[answers.person]
        preference = expit(np.bincount(pair, weights=np.where(says_low, weight, -weight)))
        if np.abs(accuracy - before).max() < tolerance:
            break
    return OneCoin(accuracy=accuracy, pairs=pairs, preference=preference)


def crowd_bradley_terry(answers: Answers, *, ridge: float = 0.1) -> CrowdBradleyTerry:
    """Fit scores and accuracies together by L-BFGS on the exact gradient.

    P(i > j says w) = eta_w sigmoid(s_i - s_j) + (1 - eta_w) sigmoid(s_j - s_i).

    Args:
        answers: decided answers.
        ridge: weight of the scores' squares, which keeps items that always win finite.

    Raises:
        ReliabilityError: the fit did not converge.
    """
    items, people = answers.items, answers.people
    start = np.concatenate([np.zeros(items), np.full(people, logit(PRIOR_ACCURACY))])
    result = minimize(
        _crowd_loss,
        start,
        args=(answers, ridge),
        jac=True,
        method="L-BFGS-B",
        # Accuracies stay off 0 and 1, where the gradient vanishes.
        bounds=[(None, None)] * items + [(-10.0, 10.0)] * people,
        options={"maxiter": 2000},
    )
    if not result.success:
        raise ReliabilityError(f"Crowd-BT did not converge ({result.message}); raise its ridge")
    scores = result.x[:items]
    return CrowdBradleyTerry(accuracy=expit(result.x[items:]), scores=scores - scores.mean())


def _crowd_loss(parameters: Floats, answers: Answers, ridge: float) -> tuple[float, Floats]:
    """Negative log posterior, and its gradient, in (scores, logits of the accuracies)."""
    items = answers.items
    scores, eta = parameters[:items], expit(parameters[items:])
    signs = np.where(answers.preferred_first, 1.0, -1.0)
    agreed = expit(signs * (scores[answers.first] - scores[answers.second]))
    own = eta[answers.person]
    likelihood = own * agreed + (1.0 - own) * (1.0 - agreed)
    # d log(likelihood) / d difference, and / d eta.
    slope = signs * (2.0 * own - 1.0) * agreed * (1.0 - agreed) / likelihood
    pull = (2.0 * agreed - 1.0) / likelihood
    by_item = np.bincount(answers.first, weights=slope, minlength=items) - np.bincount(
        answers.second, weights=slope, minlength=items
    )
    by_person = np.bincount(answers.person, weights=pull, minlength=len(eta))
    hits, misses = PRIOR_ACCURACY * PRIOR_STRENGTH, (1.0 - PRIOR_ACCURACY) * PRIOR_STRENGTH
    prior = hits * log_expit(parameters[items:]) + misses * log_expit(-parameters[items:])
    loss = -np.log(likelihood).sum() - prior.sum() + ridge / 2.0 * (scores @ scores)
    gradient = np.concatenate(
        [
            ridge * scores - by_item,
            -by_person * eta * (1.0 - eta) - hits * (1.0 - eta) + misses * eta,
        ]
    )
    return float(loss), gradient

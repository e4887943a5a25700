"""EPIC distance between two rewards, exact on tables and estimated from samples.

0 for rewards that differ by potential shaping, a constant or a positive scale; 0.707 for
uncorrelated ones; 1 for opposites. Gleave et al. 2021, definitions 4.1 and 4.5, appendix A.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learner.evaluation.estimates import RESAMPLES, Estimate, Floats, bootstrap

# Transitions scored in one call of a reward.
_CHUNK = 65_536


class TransitionReward(Protocol):
    """A reward of transitions."""

    def __call__(
        self, states: NDArray[Any], actions: NDArray[Any], next_states: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        """Score (n, ...) states, (n, ...) actions and (n, ...) next states: -> (n,)."""
        ...


@dataclass(frozen=True)
class Transitions:
    """A batch drawn from the coverage distribution.

    No transition ends an episode: a reward is compared as a function of (s, a, s') alone.

    Attributes:
        states: (n, ...).
        actions: (n, ...).
        next_states: (n, ...), of the states' shape.
    """

    states: NDArray[Any]
    actions: NDArray[Any]
    next_states: NDArray[Any]

    def __post_init__(self) -> None:
        assert len(self.states) == len(self.actions) == len(self.next_states)
        assert self.states.shape == self.next_states.shape


def pearson_distance(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> float:
    """sqrt((1 - rho) / 2), in [0, 1]; NaN if either is constant.

    Args:
        x: (n,) values.
        y: (n,) values.
        weights: (n,) probability of each; None takes all as equal.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    w = np.full(len(a), 1.0 / len(a)) if weights is None else np.asarray(weights, np.float64)
    w = w / w.sum()
    return float(_distance(_unit(a, w), _unit(b, w), w))


def canonical_table(
    rewards: ArrayLike, gamma: float, state_weights: ArrayLike, action_weights: ArrayLike
) -> Floats:
    """Canonically shaped reward, exactly.

    C(R)(s, a, s') = R(s, a, s') + E[gamma R(s', A, S') - R(s, A, S') - gamma R(S, A, S')].

    Args:
        rewards: (states, actions, states) for every s, a, s'.
        gamma: discount.
        state_weights: (states,) distribution of S and S'.
        action_weights: (actions,) distribution of A.

    Returns:
        (states, actions, states).
    """
    table = np.asarray(rewards, dtype=np.float64)
    states, actions = _distribution(state_weights), _distribution(action_weights)
    assert table.shape == (len(states), len(actions), len(states)), table.shape
    mean = np.einsum("xat,a,t->x", table, actions, states)
    shaped: Floats = table + gamma * mean - mean[:, None, None] - gamma * (states @ mean)
    return shaped


def epic_table(
    first: ArrayLike,
    second: ArrayLike,
    gamma: float,
    *,
    state_weights: ArrayLike,
    action_weights: ArrayLike,
    coverage: ArrayLike | None = None,
) -> float:
    """EPIC distance of two tabular rewards, exactly.

    Args:
        first: (states, actions, states).
        second: of the same shape.
        gamma: discount.
        state_weights: (states,) distribution of S and S'.
        action_weights: (actions,) distribution of A.
        coverage: (states, actions, states) probability of each transition; None draws s, a and
            s' independently.
    """
    states, actions = _distribution(state_weights), _distribution(action_weights)
    if coverage is None:
        coverage = np.einsum("s,a,t->sat", states, actions, states)
    x = canonical_table(first, gamma, states, actions)
    y = canonical_table(second, gamma, states, actions)
    return pearson_distance(x.ravel(), y.ravel(), np.asarray(coverage, dtype=np.float64).ravel())


def canonical_sample(
    reward: TransitionReward,
    batch: Transitions,
    actions: NDArray[Any],
    next_states: NDArray[Any],
    gamma: float,
) -> Floats:
    """Canonically shaped reward of a batch, expectations taken over drawn pairs.

    Equal states are scored once: the cost is (different states) x (pairs) evaluations.

    Args:
        reward: what is shaped.
        batch: (n,) transitions from the coverage distribution.
        actions: (pairs, ...) drawn from the action distribution.
        next_states: (pairs, ...) drawn from the state distribution, independently of them.
        gamma: discount.

    Returns:
        (n,) values. Rewards that differ by potential shaping give exactly equal ones, up to
        rounding, whatever was drawn.
    """
    assert len(actions) == len(next_states), (len(actions), len(next_states))
    asked = np.concatenate([batch.states, batch.next_states, next_states])
    _, first, inverse = np.unique(
        asked.reshape(len(asked), -1), axis=0, return_index=True, return_inverse=True
    )
    known = _mean_rewards(reward, asked[first], actions, next_states)[inverse.reshape(-1)]
    n = len(batch.states)
    here, there, drawn = known[:n], known[n : 2 * n], known[2 * n :]
    own = np.asarray(reward(batch.states, batch.actions, batch.next_states), dtype=np.float64)
    shaped: Floats = own + gamma * there - here - gamma * drawn.mean()
    return shaped


def epic_sample(
    first: TransitionReward,
    second: TransitionReward,
    batch: Transitions,
    *,
    actions: NDArray[Any],
    next_states: NDArray[Any],
    gamma: float,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Estimate:
    """EPIC distance of two rewards on samples, its interval from a bootstrap over transitions.

    Both rewards are shaped with the same drawn pairs.

    Args:
        first: a reward.
        second: another.
        batch: (n,) transitions from the coverage distribution.
        actions: (pairs, ...) drawn from the action distribution.
        next_states: (pairs, ...) drawn from the state distribution, independently of them.
        gamma: discount.
        rng: source of the resamples.
        resamples: how many.
    """
    x = canonical_sample(first, batch, actions, next_states, gamma)
    y = canonical_sample(second, batch, actions, next_states, gamma)

    def distances(picks: NDArray[np.int64]) -> Floats:
        even = np.full(picks.shape, 1.0 / picks.shape[-1])
        return _distance(_unit(x[picks], even), _unit(y[picks], even), even)

    return bootstrap(distances, len(x), rng=rng, resamples=resamples)


def _mean_rewards(
    reward: TransitionReward,
    states: NDArray[Any],
    actions: NDArray[Any],
    next_states: NDArray[Any],
) -> Floats:
    """Mean of R(x, a_k, s'_k) over the drawn pairs, for each state x: (states,)."""
    pairs = len(actions)
    rows = max(1, _CHUNK // pairs)
    means = []
    for begin in range(0, len(states), rows):
        some = states[begin : begin + rows]
        scored = reward(
            np.repeat(some, pairs, axis=0),
            np.concatenate([actions] * len(some)),
            np.concatenate([next_states] * len(some)),
        )
        means.append(np.asarray(scored, dtype=np.float64).reshape(len(some), pairs).mean(axis=1))
    return np.concatenate(means)


def _unit(values: Floats, weights: Floats) -> Floats:
    """Centre and scale to weighted norm 1 along the last axis; NaN where constant."""
    centred = values - (weights * values).sum(axis=-1, keepdims=True)
    norm = np.sqrt((weights * centred**2).sum(axis=-1, keepdims=True))
    # Shaping a constant leaves rounding errors, about 1e-16 of the values, that are no signal.
    flat = norm <= 1e-12 * np.abs(values).max(axis=-1, keepdims=True)
    return np.where(flat, np.nan, centred / np.where(flat, 1.0, norm))


def _distance(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Half the distance of unit vectors: sqrt((1 - rho) / 2), exact also where rho is near 1."""
    half: Floats = np.sqrt((weights * (x - y) ** 2).sum(axis=-1)) / 2.0
    return np.minimum(half, 1.0)


def _distribution(weights: ArrayLike) -> Floats:
    values = np.asarray(weights, dtype=np.float64)
    assert values.ndim == 1, values.shape
    assert (values >= 0).all(), "a probability is negative"
    normalised: Floats = values / values.sum()
    return normalised

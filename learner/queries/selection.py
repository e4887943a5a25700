"""Which pairs to ask: draw a pool of random pairs, then pick from it by a strategy.

Uniform, disagreement (Christiano 2017), entropy, k-center and hybrid (B-Pref 2021), BALD.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from learner.errors import LearnerError

Strategy = Literal["uniform", "disagreement", "entropy", "bald", "kcenter", "hybrid"]

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]

# Centres compared in one product: 256 of them and 10,000 pairs take 20 MB.
_CENTRES = 256


class SelectionError(LearnerError):
    """A selection that cannot be made; the message is one line."""


@dataclass(frozen=True)
class Selection:
    """The pairs picked from a pool, in the order in which to ask them.

    Attributes:
        indices: (count,) positions in the pool, all different.
        strategies: why each was picked: "uniform", or the strategy asked for.
        scores: (count,) the strategy's value of each pick, uniform picks included, so that
            a strategy can be judged later. k-center and hybrid: distance to the nearest centre
            when picked, and 0 for uniform picks. Uniform: 0.
        uniform_indices: (count,) what uniform selection would have picked from this pool.
        values: (pairs,) the strategy's value of every pair of the pool before any was picked;
            k-center and hybrid: distance to the nearest pair asked before.
    """

    indices: Indices
    strategies: tuple[Strategy, ...]
    scores: NDArray[np.float64]
    uniform_indices: Indices
    values: NDArray[np.float64]


def draw_pairs(
    episodes: NDArray[np.integer[Any]],
    starts: NDArray[np.integer[Any]],
    count: int,
    rng: np.random.Generator,
) -> Indices:
    """Draw random pairs of different windows, none twice in either order.

    Pairs across episodes come first; two windows of one episode are paired only when there are
    too few others. Which of the two is named first is a coin toss.

    Args:
        episodes: (windows,) which episode each window is cut from.
        starts: (windows,) its first step there; equal episode and start is the same segment.
        count: pairs wanted.
        rng: source of the draws.

    Returns:
        (pairs, 2) positions in `episodes`; fewer than `count` only if no more pairs exist.
    """
    _, distinct = np.unique(np.stack([episodes, starts], axis=1), axis=0, return_index=True)
    total = len(distinct) * (len(distinct) - 1) // 2
    drawn = min(total, 2 * count)
    while True:
        first, second = _pair_of(rng.choice(total, size=drawn, replace=False))
        pairs = np.stack([distinct[first], distinct[second]], axis=1)
        across = episodes[pairs[:, 0]] != episodes[pairs[:, 1]]
        if drawn == total or across.sum() >= count:
            break
        drawn = min(total, 2 * drawn)
    chosen: Indices = pairs[np.argsort(~across, kind="stable")[:count]]
    swapped = rng.random(len(chosen)) < 0.5
    chosen[swapped] = chosen[swapped, ::-1]
    return chosen


def select(
    strategy: Strategy,
    predictions: Floats,
    *,
    count: int,
    uniform_share: float,
    rng: np.random.Generator,
    features: Floats | None = None,
    labelled_features: Floats | None = None,
    asked: int = 0,
    behind: int = 0,
) -> Selection:
    """Pick `count` pairs from a pool.

    Uniform picks are spread evenly over the run, so that of its first n queries at least
    `uniform_share * n` are uniform for every n, however few are asked at a time.

    Args:
        strategy: how pairs are chosen.
        predictions: (members, pairs) P(first preferred); (0, pairs) will do for "uniform".
        count: pairs wanted; the whole pool if it is smaller.
        uniform_share: least share picked uniformly, in [0, 1].
        rng: source of the uniform picks.
        features: (pairs, features) of each pair, for k-center and hybrid.
        labelled_features: (labelled, features) of pairs asked before: k-center's first centres.
        asked: queries asked in this run before.
        behind: how many of these should have been uniform and were not; fewer than none if more
            were uniform than should have been.

    Raises:
        SelectionError: probabilities that are not, or a strategy without what it needs.
    """
    _check(strategy, predictions, features)
    count = min(count, predictions.shape[1])
    uniform = rng.permutation(predictions.shape[1])[:count]
    share = 1.0 if strategy == "uniform" else uniform_share
    turns = uniform_turns(asked, count, share, behind)
    taken = uniform[: turns.sum()]
    free = np.setdiff1d(np.arange(predictions.shape[1]), taken)
    indices, scores = np.empty(count, np.int64), np.zeros(count, np.float64)
    indices[turns] = taken
    if features is not None and strategy in ("kcenter", "hybrid"):
        known = features[:0] if labelled_features is None else labelled_features
        centres = np.concatenate([known, features[taken]])
        values = np.sqrt(_placed(features, known)[1])
        if strategy == "hybrid":
            free = _more_disputed_half(predictions, free, at_least=count - len(taken))
        picked, scores[~turns] = farthest_first(features[free], centres, count - len(taken))
        indices[~turns] = free[picked]
    else:
        values = _SCORES[strategy](predictions)
        indices[~turns] = free[_top(values[free], count - len(taken))]
        scores = values[indices]
    names: tuple[Strategy, ...] = tuple("uniform" if turn else strategy for turn in turns)
    return Selection(indices, names, scores, uniform, values)


def uniform_turns(asked: int, count: int, share: float, behind: int = 0) -> NDArray[np.bool_]:
    """Which of the queries asked, asked + 1, ... are to be uniform: (count,) bool.

    What earlier queries are behind is made up for by the first of them.
    """
    more = np.arange(count + 1)
    # The nudge keeps 10 * 0.3 from being taken for a little more than 3.
    due = np.ceil((asked + more) * share - 1e-9)
    return np.diff(np.clip(due - due[0] + behind * (more > 0), 0, more)) > 0


def spread(pairs: Indices, strategies: Sequence[Strategy], count: int) -> list[int]:
    """Ranks of `count` of the picked pairs: first those whose windows are not yet used.

    A window in many pairs would link their episodes, and a hold-out by episode then has to keep
    them all on one side; and people would see the same clip again and again. As many uniform ones
    as the first `count` hold come first, so that others cannot take their windows.

    Args:
        pairs: (picks, 2) windows of each, as selected.
        strategies: (picks,) why each was picked.
        count: ranks wanted, in order.
    """
    uniform = [rank for rank, strategy in enumerate(strategies) if strategy == "uniform"]
    used: set[int] = set()
    picks = _unused(pairs, uniform, strategies[:count].count("uniform"), used)
    others = [rank for rank in range(len(pairs)) if rank not in picks]
    picks += _unused(pairs, others, count - len(picks), used)
    again = [rank for rank in others if rank not in picks]
    return sorted((picks + again)[:count])


def _unused(pairs: Indices, ranks: list[int], count: int, used: set[int]) -> list[int]:
    """The first `count` of some ranks whose windows are not in `used`, where they then are."""
    fresh: list[int] = []
    for rank in ranks:
        windows = set(pairs[rank].tolist())
        if len(fresh) < count and not windows & used:
            fresh.append(rank)
            used |= windows
    return fresh


def disagreement(predictions: Floats) -> NDArray[np.float64]:
    """Variance of the predicted preference over members: (members, pairs) -> (pairs,).

    Christiano et al. 2017, section 2.2.4.
    """
    variance: NDArray[np.float64] = np.var(predictions, axis=0, dtype=np.float64)
    return variance


def mean_entropy(predictions: Floats) -> NDArray[np.float64]:
    """Mean over members of the entropy of the predicted preference, in nats: -> (pairs,)."""
    mean: NDArray[np.float64] = _entropy(predictions).mean(axis=0)
    return mean


def bald(predictions: Floats) -> NDArray[np.float64]:
    """Information about the members that an answer would give, in nats: -> (pairs,).

    H(mean P) - mean H(P): Houlsby et al. 2011.
    """
    mean = np.mean(predictions, axis=0, dtype=np.float64)
    return np.maximum(0.0, _entropy(mean) - mean_entropy(predictions))


def farthest_first(
    features: Floats, centres: Floats, count: int
) -> tuple[Indices, NDArray[np.float64]]:
    """Greedy k-center: again and again the point farthest from every centre so far.

    Args:
        features: (points, features).
        centres: (centres, features) to begin with; without any, the first pick is the point
            farthest from the mean of all.
        count: points wanted, at most as many as there are.

    Returns:
        (count,) picks in order, and each one's distance to its nearest centre when picked.
    """
    assert count <= len(features), (count, len(features))
    if not count:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    # Relative to the mean, products of far-away features lose no digits.
    points, nearest = _placed(features, centres)
    picks, distances = np.empty(count, np.int64), np.empty(count, np.float64)
    for turn in range(count):
        pick = int(np.argmax(nearest))
        picks[turn], distances[turn] = pick, nearest[pick]
        to_pick = _nearest(points, points[pick : pick + 1])
        nearest = np.minimum(nearest, to_pick) if turn or len(centres) else to_pick
        nearest[picks[: turn + 1]] = -1.0
    return picks, np.sqrt(distances)


def _placed(features: Floats, centres: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points relative to their mean, and the squared distance of each to its nearest centre."""
    # Relative to the mean, products of far-away features lose no digits.
    origin = features.mean(axis=0, dtype=np.float64) if len(features) else 0.0
    points = features - origin
    # Without centres the mean is a way to begin, but no centre.
    start = centres - origin if len(centres) else np.zeros((1, points.shape[1]))
    return points, _nearest(points, start)


def _nearest(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distance of each point to its nearest centre, by matrix products: -> (points,)."""
    squares = np.einsum("pf,pf->p", points, points)
    nearest = np.full(len(points), np.inf)
    for begin in range(0, len(centres), _CENTRES):
        some = centres[begin : begin + _CENTRES]
        apart = np.einsum("cf,cf->c", some, some) - 2.0 * (points @ some.T)
        nearest = np.minimum(nearest, squares + apart.min(axis=1))
    return np.maximum(nearest, 0.0)


def _entropy(probabilities: Floats) -> NDArray[np.float64]:
    values = probabilities.astype(np.float64)
    summed: NDArray[np.float64] = entr(values) + entr(1.0 - values)
    return summed


def _more_disputed_half(predictions: Floats, free: Indices, *, at_least: int) -> Indices:
    """Of the free pairs, the half on which members disagree most (B-Pref's hybrid)."""
    half = max(at_least, math.ceil(len(free) / 2))
    return free[_top(disagreement(predictions[:, free]), half)]


def _top(values: NDArray[np.float64], count: int) -> Indices:
    """Positions of the largest values, largest first; equal values in their order."""
    return np.argsort(-values, kind="stable")[:count]


def _pair_of(codes: Indices) -> tuple[Indices, Indices]:
    """The code-th entry of (0,1), (0,2), (1,2), (0,3), ...: unordered pairs, exactly once each."""
    second = (np.floor((1.0 + np.sqrt(1.0 + 8.0 * codes)) / 2.0)).astype(np.int64)
    # The square root may be off by one unit in the last place at a triangle's corner.
    second += codes >= second * (second + 1) // 2
    second -= codes < second * (second - 1) // 2
    return codes - second * (second - 1) // 2, second


def _check(strategy: Strategy, predictions: Floats, features: Floats | None) -> None:
    assert predictions.ndim == 2, predictions.shape
    if not np.all((predictions >= 0) & (predictions <= 1)):
        raise SelectionError(
            "predicted preferences are not probabilities; the reward model may hold NaN"
        )
    if strategy in ("kcenter", "hybrid"):
        if features is None:
            raise SelectionError(f"queries.strategy={strategy} needs features of the pairs")
        assert len(features) == predictions.shape[1], (features.shape, predictions.shape)


def _nothing(predictions: Floats) -> NDArray[np.float64]:
    return np.zeros(predictions.shape[1])


_SCORES: Mapping[str, Callable[[Floats], NDArray[np.float64]]] = {
    "uniform": _nothing,
    "disagreement": disagreement,
    "entropy": mean_entropy,
    "bald": bald,
}

"""Predicted reward around the events that the true reward marks (+1, -4, +10 in FruitBot)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.evaluation.estimates import quantiles

_KINDS = 4  # the commonest true rewards that are shown


def event_means(
    predicted: Sequence[NDArray[np.floating[Any]]],
    true: Sequence[NDArray[np.floating[Any]]],
    window: int,
    rng: np.random.Generator,
    resamples: int,
) -> list[dict[str, Any]]:
    """Mean predicted reward by steps from an event, with bootstrap bands over episodes.

    Events of one episode look alike and may overlap, so episodes are resampled, whole.

    The reward of a step without any event near it is subtracted (its median): pairs of equal
    length leave the reward's constant free, so only what rises or falls means something.

    Args:
        predicted: per episode, (steps,) predicted rewards.
        true: per episode, (steps,) true rewards; an event is a step where it is not 0.
        window: steps shown before and after an event.
        rng: source of the resamples.
        resamples: how many.

    Returns:
        One entry per true reward, the commonest first: `reward`, `count` of events, `episodes` that
        hold any, and by step from -window to window `mean`, `low`, `high` (null where no episode
        reaches; no band of a single episode).
    """
    rows: dict[float, list[NDArray[np.float64]]] = {}
    owners: dict[float, list[int]] = {}
    quiet: list[NDArray[np.float64]] = []
    for episode, (guess, paid) in enumerate(zip(predicted, true, strict=True)):
        padded = np.full(len(guess) + 2 * window, np.nan)
        padded[window : window + len(guess)] = guess
        near = np.zeros(len(guess), np.bool_)
        for t in np.flatnonzero(paid):
            kind = round(float(paid[t]), 3)
            rows.setdefault(kind, []).append(padded[t : t + 2 * window + 1])
            owners.setdefault(kind, []).append(episode)
            near[max(0, t - window) : t + window + 1] = True
        quiet.append(np.asarray(guess, np.float64)[~near])
    still = np.concatenate(quiet) if quiet else np.zeros(0)
    base = float(np.median(still)) if len(still) else 0.0
    kinds = sorted(rows, key=lambda reward: -len(rows[reward]))[:_KINDS]
    return [
        {"reward": kind, **_summary(np.stack(rows[kind]) - base, owners[kind], rng, resamples)}
        for kind in kinds
    ]


def _summary(
    values: NDArray[np.float64], owners: Sequence[int], rng: np.random.Generator, resamples: int
) -> dict[str, Any]:
    """Means over (events, offsets), NaN where an episode does not reach."""
    known, filled = ~np.isnan(values), np.nan_to_num(values)
    # An episode without such events adds nothing to either sum, so only the others are drawn.
    _, owner = np.unique(owners, return_inverse=True)
    count = int(owner.max()) + 1
    sums, reached = np.zeros((2, count, values.shape[1]))
    np.add.at(sums, owner, filled)
    np.add.at(reached, owner, known)
    picks = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    totals, counts = picks @ sums, picks @ reached  # (resamples, offsets)
    drawn = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
    there = known.any(axis=0)
    means = np.where(there, filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)
    if count == 1:
        drawn[:] = np.nan  # one episode does not tell how much episodes differ
    bands = [quantiles(column, 0.95) for column in drawn.T]
    return {
        "count": len(values),
        "episodes": count,
        "mean": means.tolist(),
        "low": [low for low, _ in bands],
        "high": [high for _, high in bands],
    }

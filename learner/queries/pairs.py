"""Candidate pairs of a rollout: windows, the parts of episodes they are from, and who meets whom.

A reward model is judged on parts of episodes that it has not learned from. If any part could
meet any other, a few dozen labels would link all of them, and nothing could be held out without
losing the labels in between. So many pairs at once are drawn within groups of parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.config import SegmentConfig
from learner.queries.selection import draw_pairs
from learner.segments import Steps, Window, draw_windows, window_sums

GROUPS = 10
"""Groups that a rollout's parts are dealt into: each is a tenth of what may be held out."""

_ROOM = 2  # segments that a piece of a long episode holds at least


@dataclass(frozen=True)
class Pool:
    """Candidates for questions.

    Attributes:
        windows: of one rollout.
        begins: (windows,) first step, in the rollout, of the part of an episode each is from.
        pairs: (pairs, 2) indices into `windows`.
    """

    windows: list[Window]
    begins: NDArray[np.int64]
    pairs: NDArray[np.int64]


def draw_pool(
    rollout: Steps, count: int, candidates: int, config: SegmentConfig, rng: np.random.Generator
) -> Pool:
    """Draw a pool of pairs from which some are to be asked.

    A part is what one rollout holds of an episode. Where that makes few parts, because episodes
    are long or never end, they are cut into pieces; no window lies across a cut.

    Args:
        rollout: fresh.
        count: pairs that will be asked.
        candidates: pairs in the pool for each of them.
        config: which windows.
        rng: source of the draws.
    """
    wanted = count * candidates
    windows = draw_windows(rollout, 2 * wanted, config, rng)
    begins, ends = _begins(rollout, windows, None)
    groups = min(GROUPS, count)
    pieces = min(
        math.ceil(2 * groups / max(1, _parts(windows, begins).max(initial=-1) + 1)),
        len(rollout.ends) // (_ROOM * config.length),
    )
    if groups > 1 and pieces > 1:
        # Up to half of the windows lie across a cut.
        windows = draw_windows(rollout, 4 * wanted, config, rng)
        begins, ends = _begins(rollout, windows, math.ceil(len(rollout.ends) / pieces))
        whole = np.flatnonzero(begins == ends)
        windows, begins = [windows[index] for index in whole], begins[whole]
    return Pool(windows, begins, _grouped(windows, begins, wanted, groups, rng))


def uniform_pairs(
    rollout: Steps, windows: list[Window], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(pairs, 2) indices into `windows`, any with any; those of different episodes first."""
    begins, _ = _begins(rollout, windows, None)
    starts = np.array([window.t for window in windows], dtype=np.int64)
    return draw_pairs(_parts(windows, begins), starts, count, rng)


def sums_over(rewards: NDArray[np.floating[Any]], windows: list[Window]) -> NDArray[np.float64]:
    """Sums over windows: (..., T, N) -> (..., windows); NaN where one is not finite."""
    places = ((window.t, window.length, window.env) for window in windows)
    starts, lengths, envs = np.array(list(places), dtype=np.int64).reshape(-1, 3).T
    return window_sums(rewards, starts, lengths, envs)


def _begins(
    rollout: Steps, windows: list[Window], piece: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First steps of the parts in which windows begin and end; pieces have `piece` steps."""
    env = np.array([window.env for window in windows], dtype=np.int64)
    first = np.array([window.t for window in windows], dtype=np.int64)
    last = first + np.array([window.length for window in windows], dtype=np.int64) - 1
    begun = np.maximum(first - rollout.episode_times[first, env], 0)
    if piece is None:
        return begun, begun
    return np.maximum(begun, first // piece * piece), np.maximum(begun, last // piece * piece)


def _parts(windows: list[Window], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """(windows,) number of the part each is from."""
    envs = np.array([window.env for window in windows], dtype=np.int64)
    rows = np.stack([envs, begins], axis=1)
    parts: NDArray[np.int64] = np.unique(rows, axis=0, return_inverse=True)[1]
    return parts.reshape(-1)


def _grouped(
    windows: list[Window],
    begins: NDArray[np.int64],
    count: int,
    groups: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """(pairs, 2) of windows whose parts are in one group, in random order."""
    parts = _parts(windows, begins)
    many = int(parts.max(initial=-1)) + 1
    groups = max(1, min(groups, many // 2))
    group = (rng.permutation(many) % groups)[parts]
    starts = np.array([window.t for window in windows], dtype=np.int64)
    pairs = []
    for one in range(groups):
        inside = np.flatnonzero(group == one)
        share = math.ceil(count * len(inside) / max(1, len(windows)))
        pairs.append(inside[draw_pairs(parts[inside], starts[inside], share, rng)])
    return rng.permutation(np.concatenate(pairs))[:count]

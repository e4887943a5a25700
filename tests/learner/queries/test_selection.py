from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.queries.selection import (
    SelectionError,
    bald,
    disagreement,
    draw_pairs,
    farthest_first,
    mean_entropy,
    select,
    spread,
    uniform_turns,
)

# Columns: all sure and agreed; all unsure and agreed; sure and at odds; halfway.
PREDICTIONS = np.array([[1.0, 0.5, 1.0, 0.9], [1.0, 0.5, 0.0, 0.6], [1.0, 0.5, 1.0, 0.6]])


def entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def test_disagreement_is_the_variance_over_members() -> None:
    assert disagreement(PREDICTIONS) == pytest.approx([0, 0, 2 / 9, 0.02])


def test_entropy_is_averaged_over_members() -> None:
    mixed = (entropy(0.9) + 2 * entropy(0.6)) / 3
    assert mean_entropy(PREDICTIONS) == pytest.approx([0, math.log(2), 0, mixed])


def test_bald_is_what_an_answer_tells_of_the_members() -> None:
    mixed = entropy(0.7) - (entropy(0.9) + 2 * entropy(0.6)) / 3
    assert bald(PREDICTIONS) == pytest.approx([0, 0, entropy(1 / 3), mixed])


@pytest.mark.parametrize(
    ("strategy", "expected"), [("disagreement", [2, 3]), ("entropy", [1, 3]), ("bald", [2, 3])]
)
def test_each_strategy_picks_its_largest_scores(strategy: str, expected: list[int]) -> None:
    chosen = select(
        strategy,  # type: ignore[arg-type]
        PREDICTIONS,
        count=2,
        uniform_share=0.0,
        rng=np.random.default_rng(0),
    )
    assert chosen.indices.tolist() == expected
    assert chosen.strategies == (strategy, strategy)
    score = {"disagreement": disagreement, "entropy": mean_entropy, "bald": bald}[strategy]
    assert chosen.scores == pytest.approx(score(PREDICTIONS)[expected])


def test_farthest_first_on_a_line() -> None:
    points = np.array([[0.0], [1.0], [4.0], [10.0], [6.0]])
    picks, distances = farthest_first(points, np.array([[0.0]]), 4)
    assert picks.tolist() == [3, 2, 4, 1]
    assert distances == pytest.approx([10, 4, 2, 1])


def test_farthest_first_without_centres_begins_far_from_the_mean() -> None:
    points = np.array([[0.0], [1.0], [2.0], [9.0]])
    picks, distances = farthest_first(points, np.empty((0, 1)), 3)
    assert picks.tolist() == [3, 0, 2]
    assert distances == pytest.approx([6, 9, 2])


def test_farthest_first_never_picks_a_point_twice() -> None:
    picks, _ = farthest_first(np.zeros((4, 2)), np.zeros((1, 2)), 4)
    assert sorted(picks.tolist()) == [0, 1, 2, 3]


def test_kcenter_starts_from_what_is_labelled() -> None:
    points = np.array([[0.0], [1.0], [5.0], [9.0], [10.0]])
    chosen = select(
        "kcenter",
        np.full((2, 5), 0.5),
        count=2,
        uniform_share=0.0,
        rng=np.random.default_rng(0),
        features=points,
        labelled_features=np.array([[10.0]]),
    )
    assert chosen.indices.tolist() == [0, 2]
    assert chosen.scores == pytest.approx([10, 5])


def test_hybrid_spreads_within_the_disputed_half() -> None:
    predictions = np.array([[0.5, 1.0, 1.0, 0.5], [0.5, 0.0, 0.2, 0.5]])
    features = np.array([[0.0], [1.0], [2.0], [100.0]])
    chosen = select(
        "hybrid",
        predictions,
        count=1,
        uniform_share=0.0,
        rng=np.random.default_rng(0),
        features=features,
        labelled_features=np.array([[0.0]]),
    )
    assert chosen.indices.tolist() == [2]


def test_uniform_logs_what_it_picked() -> None:
    chosen = select(
        "uniform", np.empty((0, 50)), count=20, uniform_share=0.3, rng=np.random.default_rng(1)
    )
    assert chosen.indices.tolist() == chosen.uniform_indices.tolist()
    assert len(set(chosen.indices.tolist())) == 20
    assert set(chosen.strategies) == {"uniform"}


def test_uniform_picks_every_pair_equally_often() -> None:
    rng = np.random.default_rng(2)
    picks = np.zeros(10)
    for _ in range(5_000):
        chosen = select("uniform", np.empty((0, 10)), count=3, uniform_share=1.0, rng=rng)
        picks[chosen.indices] += 1
    assert np.abs(picks - 1500).max() < 4 * math.sqrt(5_000 * 0.3 * 0.7)


@pytest.mark.parametrize("strategy", ["disagreement", "entropy", "bald", "kcenter", "hybrid"])
def test_the_least_uniform_share_is_kept_and_the_same_seed_picks_the_same(strategy: str) -> None:
    rng = np.random.default_rng(3)
    predictions, features = rng.random((3, 200)), rng.normal(size=(200, 4))

    def pick(seed: int) -> list[int]:
        chosen = select(
            strategy,  # type: ignore[arg-type]
            predictions,
            count=20,
            uniform_share=0.3,
            rng=np.random.default_rng(seed),
            features=features,
        )
        uniform = [
            i for i, why in zip(chosen.indices, chosen.strategies, strict=True) if why == "uniform"
        ]
        assert len(uniform) == 6
        assert uniform == chosen.uniform_indices[:6].tolist()
        assert len(set(chosen.indices.tolist())) == 20
        assert len(chosen.uniform_indices) == 20
        return chosen.indices.tolist()

    assert pick(0) == pick(0)
    assert pick(0) != pick(1)


@settings(deadline=None)
@given(st.floats(0, 1), st.lists(st.integers(1, 7), min_size=1, max_size=30))
def test_every_prefix_of_a_run_has_its_uniform_share(share: float, batches: list[int]) -> None:
    turns: list[bool] = []
    for count in batches:
        turns += uniform_turns(len(turns), count, share).tolist()
    for n in range(1, len(turns) + 1):
        uniform = sum(turns[:n])
        assert share * n - 1e-6 <= uniform < share * n + 1


def test_what_is_behind_is_made_up_for_at_once_and_what_is_ahead_is_left_out() -> None:
    def turns(behind: int) -> str:
        return "".join("-u"[turn] for turn in uniform_turns(10, 10, 0.3, behind).astype(int))

    assert turns(0) == "u--u--u---"
    assert turns(2) == "uuuu--u---"
    assert turns(-2) == "------u---"
    assert turns(-3) == "----------"
    assert uniform_turns(10, 3, 0.3, 5).tolist() == [True] * 3


def test_a_uniform_pick_keeps_its_windows_from_better_ones() -> None:
    pairs = np.array([[0, 1], [1, 2], [3, 4], [0, 2], [5, 6]])
    names = ("bald", "uniform", "bald", "bald", "bald")
    assert spread(pairs, names, 3) == [1, 2, 4]
    assert spread(pairs, ("bald",) * 5, 3) == [0, 2, 4]
    assert spread(pairs, names, 5) == [0, 1, 2, 3, 4]


def test_a_pool_smaller_than_asked_is_used_up() -> None:
    chosen = select(
        "bald", PREDICTIONS, count=9, uniform_share=0.5, rng=np.random.default_rng(0), asked=3
    )
    assert sorted(chosen.indices.tolist()) == [0, 1, 2, 3]
    assert chosen.strategies.count("uniform") == 2


@pytest.mark.parametrize("strategy", ["disagreement", "kcenter"])
def test_an_empty_pool_gives_nothing(strategy: str) -> None:
    chosen = select(
        strategy,  # type: ignore[arg-type]
        np.empty((3, 0)),
        count=5,
        uniform_share=0.5,
        rng=np.random.default_rng(0),
        features=np.empty((0, 2)),
    )
    assert chosen.indices.tolist() == []
    assert chosen.strategies == ()


def test_what_cannot_be_selected_from() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SelectionError, match="not probabilities"):
        select("entropy", np.array([[0.5, np.nan]]), count=1, uniform_share=0, rng=rng)
    with pytest.raises(SelectionError, match="needs features"):
        select("kcenter", PREDICTIONS, count=1, uniform_share=0, rng=rng)


windows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=0, max_size=25).map(
    lambda rows: np.array(rows, dtype=np.int64).reshape(-1, 2)
)


@settings(deadline=None)
@given(windows, st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_pairs_are_distinct_and_across_episodes_first(
    rows: np.ndarray, count: int, seed: int
) -> None:
    episodes, starts = rows[:, 0], rows[:, 1]
    pairs = draw_pairs(episodes, starts, count, np.random.default_rng(seed))
    named = [tuple(map(tuple, rows[pair].tolist())) for pair in pairs]
    assert all(a != b for a, b in named)
    assert len({frozenset(pair) for pair in named}) == len(named)
    segments = sorted({tuple(row) for row in rows.tolist()})
    possible = [(a, b) for i, a in enumerate(segments) for b in segments[:i]]
    assert len(pairs) == min(count, len(possible))
    across = sum(a[0] != b[0] for a, b in possible)
    assert sum(a[0] != b[0] for a, b in named) == min(len(pairs), across)


def test_pairs_are_drawn_evenly_and_on_either_side() -> None:
    rng = np.random.default_rng(9)
    counts: dict[tuple[int, int], int] = {}
    n = 6_000
    for _ in range(n):
        (a, b) = draw_pairs(np.arange(4), np.zeros(4, np.int64), 1, rng)[0].tolist()
        counts[a, b] = counts.get((a, b), 0) + 1
    assert len(counts) == 12
    assert max(abs(c - n / 12) for c in counts.values()) < 4 * math.sqrt(n / 12)


def test_a_big_pool_is_drawn_without_listing_every_pair() -> None:
    count = 50_000
    pairs = draw_pairs(
        np.arange(100_000), np.zeros(100_000, np.int64), count, np.random.default_rng(0)
    )
    assert pairs.shape == (count, 2)
    assert pairs.min() >= 0
    assert pairs.max() < 100_000
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == count

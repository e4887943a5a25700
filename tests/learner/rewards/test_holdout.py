from __future__ import annotations

import numpy as np
import pytest

from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.rewards.holdout import HoldOut, bootstrap_counts

SHARE = 0.368


def compared(pairs: list[tuple[str, str]]) -> LabelledPairs:
    """Labels that compare segments of these episodes."""
    store = SegmentStore(1)
    rows = []
    for index, episodes in enumerate(pairs):
        for side in (0, 1):
            step = np.zeros((1, 2), dtype=np.float32)
            store.add(2 * index + side, step, np.zeros(1, dtype=np.int64), episodes[side])
        rows.append(PreferenceRow(index, index, 1, 2 * index, 2 * index + 1, "a"))
    return labelled_pairs(rows, store)


def episodes_of(labels: LabelledPairs, mask: np.ndarray) -> set[str]:
    return {labels.episodes[index] for index in labels.pairs[mask].reshape(-1)}


def random_pairs(count: int, episodes: int, seed: int = 0) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    return [(f"e{a}", f"e{b}") for a, b in rng.integers(episodes, size=(count, 2))]


@pytest.mark.parametrize("episodes", [1, 3, 20, 200, 5000])
def test_no_episode_is_on_both_sides(episodes: int) -> None:
    labels = compared(random_pairs(200, episodes))
    learn, held = HoldOut().split(labels, SHARE, np.random.default_rng(1))

    assert not (learn & held).any()
    assert not episodes_of(labels, learn) & episodes_of(labels, held)
    assert learn.sum() >= 0.5 * len(labels)


def test_one_in_e_is_held_out_where_episodes_allow_it() -> None:
    labels = compared([(f"a{i}", f"b{i}") for i in range(500)])
    learn, held = HoldOut().split(labels, SHARE, np.random.default_rng(1))

    assert held.sum() == 184
    assert (learn | held).all()


def test_pairs_that_share_an_episode_go_to_one_side() -> None:
    labels = compared([("x", "y"), ("y", "z")] * 5 + [(f"a{i}", f"b{i}") for i in range(30)])
    for seed in range(10):
        learn, held = HoldOut().split(labels, SHARE, np.random.default_rng(seed))
        assert len(set(held[:10])) == 1
    assert (learn | held).all()


def test_never_more_is_lost_than_held_out() -> None:
    """Every episode meets every other, so a cut would lose two labels for each it holds out."""
    labels = compared(random_pairs(300, 16))
    learn, held = HoldOut().split(labels, SHARE, np.random.default_rng(1))

    assert learn.all()
    assert not held.any()


def test_links_between_clusters_are_cut() -> None:
    """Ten clusters of episodes in a ring: a few labels between them are given up."""
    rng = np.random.default_rng(0)
    inside = [
        (f"{cluster}.{a}", f"{cluster}.{b}")
        for cluster in range(10)
        for a, b in rng.integers(6, size=(30, 2))
    ]
    between = [(f"{cluster}.0", f"{(cluster + 1) % 10}.3") for cluster in range(10)]
    labels = compared(inside + between)
    learn, held = HoldOut().split(labels, SHARE, np.random.default_rng(1))

    assert held.mean() >= 0.25
    assert 0 < 1 - (learn | held).mean() <= 0.05


def arrivals(pairs: list[tuple[str, str]], *, together: int, members: int = 3) -> np.ndarray:
    """(members, P) held out at the end, where labels come one by one after the first ones."""
    everything = compared(pairs)
    holdouts, rng = [HoldOut() for _ in range(members)], np.random.default_rng(1)
    for count in range(together, len(pairs) + 1):
        held = [one.split(everything.select(np.arange(count)), SHARE, rng)[1] for one in holdouts]
    return np.stack(held)


def test_members_hold_out_different_labels_that_come_one_by_one() -> None:
    """Otherwise nobody would ever learn from a third of what people answer."""
    held = arrivals([(f"a{i}", f"b{i}") for i in range(100)], together=1)

    assert held.mean() == pytest.approx(SHARE, abs=0.1)
    assert held.all(axis=0).mean() < 0.12  # independently 0.05
    assert (~held).all(axis=0).mean() > 0.15  # independently 0.25


def test_nothing_is_caught_up_on_after_a_start_without_holdout() -> None:
    """The newest labels are of the agent's newest behaviour."""
    linked = [("x", "y"), ("y", "z"), ("z", "x")] * 25
    held = arrivals(linked + [(f"a{i}", f"b{i}") for i in range(45)], together=75)

    assert not held[:, :75].any()
    assert held[:, 75:].mean() < 0.5
    assert held[:, 75:].all(axis=0).mean() < 0.15


def test_an_episode_keeps_its_side_when_labels_arrive() -> None:
    """Otherwise a warm refit would be judged on what earlier fits learned from."""
    pairs = random_pairs(300, 400)
    holdout, rng = HoldOut(), np.random.default_rng(1)
    learned: set[str] = set()
    judged: set[str] = set()
    for count in (10, 40, 100, 200, 300):
        labels = compared(pairs[:count])
        learn, held = holdout.split(labels, SHARE, rng)
        learned |= episodes_of(labels, learn)
        judged |= episodes_of(labels, held)
        assert not learned & judged
    assert held.mean() > 0.15


def test_a_single_label_is_learned_from() -> None:
    learn, held = HoldOut().split(compared([("x", "y")]), SHARE, np.random.default_rng(1))

    assert learn.tolist() == [True]
    assert held.tolist() == [False]


def test_members_hold_out_different_episodes() -> None:
    labels = compared([(f"a{i}", f"b{i}") for i in range(50)])
    rng = np.random.default_rng(1)
    first, second = (HoldOut().split(labels, SHARE, rng)[1] for _ in range(2))

    assert (first != second).any()


def test_the_bag_is_a_bootstrap_of_the_labels() -> None:
    counts = bootstrap_counts(np.arange(5000), seed=3, member=0)

    assert counts.sum() == pytest.approx(5000, rel=0.05)
    assert np.mean(counts > 0) == pytest.approx(1 - np.exp(-1), abs=0.02)


def test_a_label_keeps_its_count_when_others_arrive() -> None:
    ids = np.arange(100)

    few, many = bootstrap_counts(ids[:50], 3, 1), bootstrap_counts(ids, 3, 1)
    assert few.tolist() == many[:50].tolist()
    assert few.tolist() != bootstrap_counts(ids[:50], 3, 2).tolist()


def test_no_bag_is_empty() -> None:
    for label in range(40):
        assert bootstrap_counts(np.array([label]), 0, 0).sum() >= 1

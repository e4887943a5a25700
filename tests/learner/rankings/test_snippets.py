from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from learner.evaluation.accuracy import clock_accuracy
from learner.rankings.orders import RankingError, by_true_return
from learner.rankings.snippets import (
    RULES,
    Sharing,
    SnippetConfig,
    draw_snippets,
    draw_together,
    too_short,
)

FAIR = ("time_aligned", "length_matched")

lengths = st.lists(st.integers(1, 120), min_size=2, max_size=12)


def demonstrations(steps: list[int], seed: int = 0) -> list[np.ndarray]:
    """Rewards of 1 now and then."""
    rng = np.random.default_rng(seed)
    return [(rng.random(count) < 0.2).astype(np.float32) for count in steps]


def returns(rewards: list[np.ndarray]) -> np.ndarray:
    """All different, so that there always is an order."""
    return np.array([one.sum() for one in rewards]) + np.arange(len(rewards)) / 100


def draw(rewards, ranks=None, seed: int = 1, **changes):
    config = SnippetConfig.model_validate({"pairs": 40, **changes})
    ranking = by_true_return(returns(rewards) if ranks is None else ranks)
    return draw_snippets(ranking, rewards, config, np.random.default_rng(seed))


def draw_groups(rewards, ranks=None, seed: int = 1, sharing=(4, 20), **changes):
    config = SnippetConfig.model_validate({"pairs": 40, **changes})
    ranking = by_true_return(returns(rewards) if ranks is None else ranks)
    shared = Sharing(demonstrations=sharing[0], pairs=sharing[1])
    return draw_together(ranking, rewards, config, shared, np.random.default_rng(seed))


def clock(snippets):
    return clock_accuracy(snippets.starts, snippets.lengths, snippets.targets)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "length_matched"])
@settings(max_examples=40, deadline=None)
@given(steps=lengths, shortest=st.integers(1, 30), more=st.integers(0, 20), seed=st.integers(0, 9))
def test_snippets_lie_within_their_demonstrations_and_are_equally_long(
    rule, steps, shortest, more, seed
):
    rewards = demonstrations(steps, seed)
    drawn = draw(rewards, rule=rule, min_length=shortest, max_length=shortest + more, seed=seed)
    there = np.array(steps)[drawn.demonstrations]
    assert len(drawn) == 40
    assert (drawn.starts >= 0).all()
    assert (drawn.starts + drawn.lengths <= there).all()
    assert (drawn.lengths[:, 0] == drawn.lengths[:, 1]).all()
    assert (drawn.lengths[:, 0] >= np.minimum(shortest, there.min(axis=1))).all()
    assert (drawn.lengths <= shortest + more).all()
    assert (drawn.demonstrations[:, 0] != drawn.demonstrations[:, 1]).all()


@pytest.mark.parametrize("rule", RULES[:4])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99))
def test_labels_are_inherited(rule, seed):
    rewards = demonstrations([50, 55, 60, 50], seed)
    ranks = returns(rewards)
    drawn = draw(rewards, rule=rule, seed=seed, min_length=20, max_length=20)
    better = ranks[drawn.demonstrations]
    assert np.array_equal(drawn.targets, (1 + np.sign(better[:, 0] - better[:, 1])) / 2)


@settings(max_examples=40, deadline=None)
@given(steps=lengths, seed=st.integers(0, 99))
def test_the_atari_rule_never_starts_the_better_snippet_earlier(steps, seed):
    drawn = draw(demonstrations(steps, seed), rule="paper_atari", seed=seed)
    first_better = drawn.targets == 1
    better = np.where(first_better, drawn.starts[:, 0], drawn.starts[:, 1])
    worse = np.where(first_better, drawn.starts[:, 1], drawn.starts[:, 0])
    assert (better >= worse).all()


@settings(max_examples=40, deadline=None)
@given(steps=lengths, jitter=st.integers(0, 8), seed=st.integers(0, 99))
def test_aligned_starts_are_no_further_apart_than_both_jitters(steps, jitter, seed):
    drawn = draw(demonstrations(steps, seed), rule="time_aligned", jitter=jitter, seed=seed)
    assert (np.abs(drawn.starts[:, 0] - drawn.starts[:, 1]) <= 2 * jitter).all()


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.integers(40, 200), min_size=6, max_size=10), seed=st.integers(0, 99))
@pytest.mark.parametrize("rule", FAIR)
def test_a_clock_gets_half_of_the_fair_rules_even_where_better_is_longer(rule, steps, seed):
    rewards = demonstrations(sorted(steps), seed)
    ranks = np.arange(len(steps))
    try:
        drawn = draw(rewards, ranks, rule=rule, pairs=4000, seed=seed)
    except RankingError:
        assert rule == "length_matched"  # no two of them are of matching length
        return
    told = clock(drawn)
    for one in (told.start, told.end, told.length):
        assert one.estimate.value == pytest.approx(0.5, abs=0.035)


def test_a_clock_gets_nearly_all_pairs_of_the_atari_rule():
    drawn = draw(demonstrations([300] * 10), rule="paper_atari", pairs=4000)
    assert clock(drawn).start.estimate.value > 0.95


def test_independent_starts_leak_where_better_demonstrations_are_longer_and_only_there():
    longer = draw(demonstrations(list(range(40, 400, 30))), np.arange(12), rule="paper_mujoco",
                  pairs=4000)  # fmt: skip
    equal = draw(demonstrations([200] * 12), np.arange(12), rule="paper_mujoco", pairs=4000)
    assert clock(longer).start.estimate.value > 0.6
    assert clock(equal).start.estimate.value == pytest.approx(0.5, abs=0.035)


def test_true_labels_follow_the_snippets_own_reward():
    rewards = demonstrations([80, 90, 100])
    drawn = draw(rewards, rule="true_labels", pairs=300)
    sums = np.array(
        [
            [rewards[d][s : s + n].sum() for d, s, n in zip(*side, strict=True)]
            for side in zip(drawn.demonstrations, drawn.starts, drawn.lengths, strict=True)
        ]
    )
    assert np.array_equal(drawn.targets, (1 + np.sign(sums[:, 0] - sums[:, 1])) / 2)


def test_true_labels_of_one_start_tell_a_clock_nothing_at_all():
    drawn = draw(demonstrations([60, 90, 400]), rule="true_labels", label_starts="aligned")
    assert np.array_equal(drawn.starts[:, 0], drawn.starts[:, 1])
    assert clock(drawn).strongest == 0.5


def test_ties_are_a_half_or_left_out_but_never_ordered():
    rewards = demonstrations([60] * 6)
    ranks = np.array([1, 1, 1, 1, 1, 2])
    half = draw(rewards, ranks, ties="half", pairs=600, rule="paper_atari")
    assert np.mean(half.targets == 0.5) == pytest.approx(10 / 15, abs=0.06)
    dropped = draw(rewards, ranks, ties="drop", pairs=600, rule="paper_atari")
    assert set(dropped.targets) == {0.0, 1.0}
    assert (dropped.demonstrations == 5).any(axis=1).all()


def test_tied_true_rewards_can_be_dropped_too():
    drawn = draw(demonstrations([60, 70]), rule="true_labels", ties="drop", pairs=100)
    assert len(drawn) == 100
    assert set(drawn.targets) == {0.0, 1.0}


def test_neither_side_is_the_better_one():
    drawn = draw(demonstrations([60] * 6), rule="paper_atari", pairs=2000)
    assert drawn.targets.mean() == pytest.approx(0.5, abs=0.04)


def test_a_demonstration_shorter_than_a_snippet_is_taken_whole():
    rewards = demonstrations([5, 80])
    drawn = draw(rewards, rule="time_aligned", min_length=20, max_length=30)
    assert set(drawn.lengths.ravel()) == {5}
    config = SnippetConfig(min_length=20, max_length=30)
    assert too_short([5, 80], config) == [0]


def test_equal_seeds_draw_equal_snippets():
    rewards = demonstrations([60, 70, 80])
    first, again, other = (draw(rewards, rule="time_aligned", seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.starts, again.starts)
    assert not np.array_equal(first.starts, other.starts)


@pytest.mark.parametrize(
    ("steps", "changes", "said"),
    [
        ([10, 100], {"rule": "length_matched"}, "no two of 2 demonstrations"),
        ([0, 40], {}, "demonstration 0 has no steps"),
    ],
)
def test_what_cannot_be_paired_is_named(steps, changes, said):
    with pytest.raises(RankingError, match=said):
        draw(demonstrations(steps), [0.0, 1.0], **changes)


def test_snippets_without_any_true_difference_say_nothing():
    silent = [np.zeros(50, np.float32)] * 3
    with pytest.raises(RankingError, match="true labels say nothing"):
        draw(silent, [0.0, 1.0, 2.0], rule="true_labels", ties="drop")


def test_lengths_must_be_in_order():
    with pytest.raises(ValidationError, match="min_length is larger"):
        SnippetConfig(min_length=9, max_length=8)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "length_matched"])
@settings(max_examples=25, deadline=None)
@given(steps=lengths, size=st.integers(2, 6), stride=st.integers(1, 3), seed=st.integers(0, 99))
def test_groups_keep_to_the_rule(rule, steps, size, stride, seed):
    changes = {"rule": rule, "stride": stride, "min_length": 8, "max_length": 8}
    drawn = draw_groups(demonstrations(steps, seed), seed=seed, sharing=(size, 7), **changes)
    there = np.array(steps)[drawn.demonstrations]
    assert len(drawn) == 40
    assert (drawn.starts >= 0).all()
    assert (drawn.starts + drawn.lengths <= there).all()
    assert np.bincount(drawn.groups).tolist() == [7] * 5 + [5]
    for group in range(6):
        assert len(np.unique(drawn.demonstrations[drawn.groups == group])) <= size
    if rule == "time_aligned":
        assert (np.abs(np.diff(drawn.starts)) <= 2 * 4 + stride).all()
    if rule == "paper_atari":
        decided = drawn.targets != 0.5
        sides = np.where(drawn.targets[:, None] == 1, drawn.starts, drawn.starts[:, ::-1])
        assert (sides[decided, 0] >= sides[decided, 1]).all()


@pytest.mark.parametrize("ties", ["half", "drop"])
def test_groups_draw_every_comparable_pair_as_often_as_every_other(ties):
    """Of eight demonstrations five are tied; without ties the other pairs are alike."""
    ranks = np.array([0, 0, 0, 0, 0, 1, 2, 3])
    rewards = demonstrations([40] * 8)
    drawn = draw_groups(rewards, ranks, sharing=(4, 6), pairs=20_000, ties=ties)
    pairs = np.sort(drawn.demonstrations, axis=1)
    counts = np.zeros((8, 8))
    np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
    wanted = [(a, b) for a in range(8) for b in range(a + 1, 8) if ties == "half" or b >= 5]
    seen = np.array([counts[pair] for pair in wanted])
    assert seen.sum() == len(drawn)
    assert seen == pytest.approx(20_000 / len(wanted), rel=0.15)


def test_a_clock_gets_half_of_aligned_groups_too():
    steps = [60, 90, 120, 150, 180, 240]
    drawn = draw_groups(demonstrations(steps), np.arange(6), pairs=4000, stride=2)
    assert clock(drawn).strongest == pytest.approx(0.5, abs=0.03)


def test_snippets_of_a_group_show_few_frames_many_times():
    drawn = draw_groups(
        demonstrations([100] * 50), sharing=(16, 128), pairs=1280, min_length=32, max_length=32
    )
    shown = set()
    for group, demos, starts in zip(drawn.groups, drawn.demonstrations, drawn.starts, strict=True):
        for demo, start in zip(demos, starts, strict=True):
            shown |= {(group, demo, step) for step in range(start, start + 32, 2)}
    assert len(drawn) * 2 * 16 / len(shown) > 4


def test_groups_without_any_true_difference_say_nothing():
    silent = [np.zeros(50, np.float32)] * 3
    with pytest.raises(RankingError, match="true labels say nothing"):
        draw_groups(silent, [0.0, 1.0, 2.0], rule="true_labels", ties="drop")

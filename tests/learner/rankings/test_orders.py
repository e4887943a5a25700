from __future__ import annotations

import numpy as np
import pytest

from learner.rankings.orders import (
    Ranking,
    RankingError,
    by_noise,
    by_person,
    by_training_time,
    by_true_return,
)


def test_the_higher_return_is_better_and_equal_ones_are_tied():
    assert by_true_return([3.0, 1.0, 3.0]).compare().tolist() == [
        [0, 1, 0],
        [-1, 0, -1],
        [0, 1, 0],
    ]


def test_sums_that_differ_by_rounding_are_tied():
    assert by_true_return([0.1 + 0.2, 0.3, 1.0]).compare()[0, 1] == 0


def test_later_checkpoints_are_better_whatever_they_earned():
    assert by_training_time([0, 20_000, 10_000]).compare()[1].tolist() == [1, 0, 1]


def test_noise_is_compared_from_the_minimum_gap_on():
    order = by_noise([0.05, 0.35, 0.3, 1.25], gap=0.3).compare()
    assert order[0].tolist() == [0, 1, 2, 1]  # 0.35 - 0.05 is the gap itself
    assert order[3].tolist() == [-1, -1, -1, 0]


def test_a_persons_first_place_is_the_best_and_places_may_be_shared():
    assert by_person([1, 0, 1]).compare()[0].tolist() == [0, -1, 0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: by_true_return([2.0, 2.0, 2.0]), "all 3 demonstrations stand at 2"),
        (lambda: by_true_return([2.0]), "two demonstrations or more"),
        (lambda: by_true_return([2.0, float("nan")]), "not a number"),
        (lambda: by_noise([0.1, 0.2], gap=0.3), "nothing to rank by noise"),
    ],
)
def test_what_cannot_be_ranked_is_refused(make, said):
    with pytest.raises(RankingError, match=said):
        make()


def test_a_part_of_a_ranking_keeps_its_kind_and_gap():
    part = by_noise([0.0, 0.5, 1.0], gap=0.4).subset(np.array([2, 0]))
    assert isinstance(part, Ranking)
    assert (part.kind, part.gap, part.ranks.tolist()) == ("noise", 0.4, [-1.0, 0.0])

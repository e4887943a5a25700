from __future__ import annotations

import numpy as np
import pytest

from learner.rankings.orders import by_true_return
from learner.study.constant import ranked_constant


@pytest.mark.parametrize("constant", [-0.3, 0.0, 0.8])
def test_it_finds_the_constant_that_was_taken_away(constant):
    """Demonstrations are ranked by the sum of r + c; what is known is the sum of r."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 200, 80)
    returns = rng.normal(size=80) * 30
    true = returns + constant * lengths
    found = ranked_constant(returns, lengths, by_true_return(true))
    assert found == pytest.approx(constant, abs=0.06)
    shifted = ranked_constant(returns - 5 * lengths, lengths, by_true_return(true))
    assert shifted == pytest.approx(constant + 5, abs=0.06)


def test_a_reward_turned_over_has_no_constant_that_helps():
    rng = np.random.default_rng(0)
    lengths, returns = rng.integers(20, 200, 60), rng.normal(size=60)
    assert ranked_constant(-returns, lengths, by_true_return(returns)) is None


def test_where_all_are_equally_long_there_is_nothing_to_find():
    returns = np.arange(10.0)
    found = ranked_constant(returns, np.full(10, 50), by_true_return(returns))
    assert found == pytest.approx(0.0)

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.config import QueryConfig
from learner.queries.schedules import labels_due

KINDS = ["hyperbolic", "staged", "constant", "exponential"]


def queries(kind: str, budget: int = 500, initial: int = 100, **schedule: Any) -> QueryConfig:
    return QueryConfig.model_validate(
        {"budget": budget, "initial": initial, "schedule": {"kind": kind, **schedule}}
    )


configs = st.builds(
    lambda kind, budget, part, scale: queries(kind, budget, int(budget * part), scale=scale),
    st.sampled_from(KINDS),
    st.integers(0, 10_000),
    st.floats(0, 1),
    st.sampled_from([1.0, 1e3, 2e6, 5e6, 1e12]),
)


@settings(deadline=None)
@given(configs, st.integers(1, 10**8), st.data())
def test_due_labels_only_grow_and_stay_within_the_budget(
    config: QueryConfig, total: int, data: st.DataObject
) -> None:
    steps = data.draw(st.lists(st.integers(0, total), min_size=1, max_size=20).map(sorted))
    due = [labels_due(config, step, total) for step in steps]
    assert due == sorted(due)
    assert config.initial <= due[0]
    assert due[-1] <= config.budget
    assert labels_due(config, 0, total) == config.initial
    assert labels_due(config, total, total) == config.budget
    assert labels_due(config, total + 1, total) == config.budget


@settings(deadline=None)
@given(configs, st.integers(1, 10**8), st.data())
def test_a_step_later_is_never_a_label_less(
    config: QueryConfig, total: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, total - 1))
    assert labels_due(config, step, total) <= labels_due(config, step + 1, total)


def test_constant_is_a_straight_line() -> None:
    config = queries("constant", budget=1100)
    assert [labels_due(config, s, 1000) for s in (0, 1, 290, 500, 999)] == [
        100,
        101,
        390,
        600,
        1099,
    ]


@pytest.mark.parametrize("scale", [2e6, 5e6])
def test_the_hyperbolic_rate_halves_at_its_scale(scale: float) -> None:
    config = queries("hyperbolic", budget=10**7, initial=0, scale=scale)
    total, window = 50_000_000, 10_000

    def rate(step: int) -> int:
        return labels_due(config, step + window, total) - labels_due(config, step, total)

    start = rate(0)
    assert rate(int(scale)) / start == pytest.approx(1 / 2, rel=0.01)
    assert rate(int(4 * scale)) / start == pytest.approx(1 / 5, rel=0.01)


def test_ibarz_asks_most_labels_early() -> None:
    """6,800 labels, 500 of them at first, over 50 M steps at a rate of 5e6 / (T + 5e6)."""
    config = queries("hyperbolic", budget=6800, initial=500, scale=5e6)
    due = labels_due(config, 5_000_000, 50_000_000)
    assert due == 500 + math.floor(6300 * math.log(2) / math.log(11))


def test_the_staged_rate_is_held_and_then_stepped_down() -> None:
    config = queries("staged", budget=1_100_000, initial=0, scale=5e6)
    total = 15_000_000  # rates 1, 1/2, 1/3: of 11/6 in all
    assert labels_due(config, 2_500_000, total) == 300_000
    assert labels_due(config, 5_000_000, total) == 600_000
    assert labels_due(config, 7_500_000, total) == 750_000
    assert labels_due(config, 10_000_000, total) == 900_000
    assert labels_due(config, 12_500_000, total) == 1_000_000


def test_exponential_is_the_formula_of_rl_teacher() -> None:
    config = queries("exponential", budget=1000, initial=250)
    # 1 - 0.01^(1/2) = 0.9 of 0.99
    assert labels_due(config, 500, 1000) == 250 + math.floor(750 * 0.9 / 0.99)


def test_no_labels_are_due_without_a_budget() -> None:
    assert labels_due(queries("hyperbolic", budget=0, initial=0), 10, 100) == 0

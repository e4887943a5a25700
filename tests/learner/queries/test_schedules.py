from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.config import RunConfig, parse_config
from learner.queries.schedules import labels_due, last_asking_steps, untrained_steps

KINDS = ["hyperbolic", "staged", "constant", "exponential"]


def run(
    kind: str, budget: int = 500, initial: int = 100, total: int = 1000, **changes: Any
) -> RunConfig:
    """A run with rollouts of one step, and initial pairs from the first of them."""
    schedule = {key: changes.pop(key) for key in ("scale",) if key in changes}
    return parse_config(
        {
            "total_steps": total,
            "environment": {"num_envs": 1},
            "agent": {"n_steps": 1, "batch_size": 1, "reward": "true"},
            "segments": {"length": 1},
            "queries": {
                "budget": budget,
                "initial": initial,
                "initial_steps": 1,
                "schedule": {"kind": kind, **schedule},
                **changes,
            },
        }
    )


configs = st.builds(
    lambda kind, budget, part, scale, total, untrained: run(
        kind,
        budget,
        int(budget * part),
        total,
        scale=scale,
        initial_steps=max(1, int((total - 1) * untrained)),
    ),
    st.sampled_from(KINDS),
    st.integers(0, 10_000),
    st.floats(0, 1),
    st.sampled_from([1.0, 1e3, 2e6, 5e6, 1e12]),
    st.integers(2, 10**8),
    st.floats(0, 1),
)


@settings(deadline=None)
@given(configs, st.data())
def test_due_labels_only_grow_and_stay_within_the_budget(
    config: RunConfig, data: st.DataObject
) -> None:
    total, begun, last = config.total_steps, untrained_steps(config), last_asking_steps(config)
    steps = data.draw(st.lists(st.integers(0, total), min_size=1, max_size=20).map(sorted))
    due = [labels_due(config, step) for step in steps]
    assert due == sorted(due)
    assert due[-1] <= config.queries.budget
    if begun < last:
        assert labels_due(config, begun) == config.queries.initial
    assert labels_due(config, last) == config.queries.budget
    assert labels_due(config, total) == config.queries.budget
    assert labels_due(config, total + 1) == config.queries.budget


@settings(deadline=None)
@given(configs, st.data())
def test_a_step_later_is_never_a_label_less(config: RunConfig, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, config.total_steps - 1))
    assert labels_due(config, step) <= labels_due(config, step + 1)


def test_constant_is_a_straight_line() -> None:
    config = run("constant", budget=1099, total=1001)
    due = [labels_due(config, s) for s in (1, 2, 291, 501, 999)]
    assert due == [100, 101, 390, 600, 1098]


@pytest.mark.parametrize(
    ("total", "last"),
    [(400, 300), (401, 300), (350, 300), (402, 400), (410, 400), (500, 400)],
)
def test_the_budget_is_reached_where_the_last_rollout_begins(total: int, last: int) -> None:
    """Rollouts of 100 steps, two at once: a last odd step is never taken."""
    config = parse_config(
        {
            "total_steps": total,
            "environment": {"num_envs": 2},
            "agent": {"n_steps": 50, "batch_size": 10},
            "segments": {"length": 10},
            "queries": {"budget": 31, "initial": 1, "schedule": {"kind": "constant"}},
        }
    )
    assert last_asking_steps(config) == last
    per_rollout = 30 / (last / 100 - 1)
    due = [labels_due(config, steps) for steps in range(100, last + 1, 100)]
    assert due == [1 + int(per_rollout * rollouts) for rollouts in range(last // 100)]
    assert due[-1] == labels_due(config, total) == 31


@pytest.mark.parametrize("scale", [2e6, 5e6])
def test_the_hyperbolic_rate_halves_at_its_scale(scale: float) -> None:
    config = run("hyperbolic", budget=10**7, initial=0, total=50_000_000, scale=scale)
    window = 10_000

    def rate(step: int) -> int:
        return labels_due(config, step + window) - labels_due(config, step)

    start = rate(1)
    assert rate(int(scale)) / start == pytest.approx(1 / 2, rel=0.01)
    assert rate(int(4 * scale)) / start == pytest.approx(1 / 5, rel=0.01)


def test_ibarz_asks_most_labels_early() -> None:
    """6,800 labels, 500 of them at first, over 50 M steps at a rate of 5e6 / (T + 5e6)."""
    config = run("hyperbolic", budget=6800, initial=500, total=50_000_000, scale=5e6)
    due = labels_due(config, 5_000_000)
    assert due == 500 + math.floor(6300 * math.log(2) / math.log(11))


def test_the_staged_rate_is_held_and_then_stepped_down() -> None:
    # rates 1, 1/2, 1/3: of 11/6 in all
    config = run("staged", budget=1_100_000, initial=0, total=15_000_000, scale=5e6)
    quarters = [2_500_000, 5_000_000, 7_500_000, 10_000_000, 12_500_000]
    due = [labels_due(config, step) for step in quarters]
    assert due == pytest.approx([300_000, 600_000, 750_000, 900_000, 1_000_000], abs=1)


def test_exponential_is_the_formula_of_rl_teacher() -> None:
    config = run("exponential", budget=1000, initial=250, total=1_000_000)
    # 1 - 0.01^(1/2) = 0.9 of 0.99
    assert labels_due(config, 500_000) == 250 + math.floor(750 * 0.9 / 0.99)


def test_no_labels_are_due_without_a_budget() -> None:
    assert labels_due(run("hyperbolic", budget=0, initial=0), 10) == 0


def test_initial_pairs_are_of_different_steps() -> None:
    """Hopper: a quarter of 700 labels would show each step of one rollout in 8 segments."""
    values = {
        "total_steps": 1_000_000,
        "environment": {"num_envs": 8},
        "agent": {"n_steps": 256, "batch_size": 64},
        "segments": {"length": 50},
        "queries": {"budget": 700, "initial": 175},
    }
    config = parse_config(values)
    assert untrained_steps(config) == 9 * 2048  # 175 pairs of 2 x 50 steps
    due = [labels_due(config, 2048 * rollouts) for rollouts in range(10)]
    assert due == [175 * rollouts // 9 for rollouts in range(10)]


def test_a_short_run_is_not_spent_on_initial_pairs() -> None:
    config = run("constant", initial=500, total=100, initial_steps=None)
    assert untrained_steps(config) == 25

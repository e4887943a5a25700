"""Agents that never see the true reward learn the task: beside those that do, and beside chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from learner.evaluation.returns import improvement_p_value

pytestmark = pytest.mark.learning

COLUMNS: dict[str, Any] = {
    "name": "columns",
    "total_steps": 16 * 128 * 24,
    "threads": 1,
    "precision": "float32",
    "environment": {"id": "Columns-v0", "num_envs": 16},
    # A constant step size lets an agent lose what it knew, on the true reward too.
    "agent": {
        "network": "nature", "n_steps": 128, "batch_size": 256, "n_epochs": 4, "gamma": 0.9,
        "learning_rate": 1e-3, "learning_rate_schedule": "linear", "ent_coef": 0.02,
    },
    "segments": {"length": 4},
    "reward": {
        "members": 2, "initial_max_batches": 400, "max_batches": 60, "learning_rate": 1e-3,
        "dropout": 0.0,
    },
    "queries": {"budget": 300, "initial": 120},
    "teacher": {"kind": "synthetic"},
    "evaluation": {"every": 1000, "interim_episodes": 2, "episodes": 4},
}  # fmt: skip


def published(name: str, **changes: Any) -> dict[str, Any]:
    """A config of experiments/ with fewer closing episodes; the tests play their own."""
    values = yaml.safe_load(Path(f"experiments/{name}-oracle.yaml").read_text())
    values["evaluation"] |= {"episodes": 4}
    return values | changes


def on_true_reward(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"agent": values["agent"] | {"reward": "true"}}


def assert_learned(learned, true, random, *, share: float) -> None:
    """Return above chance: at least a share of what the true reward brings, and no accident."""
    floor = random.mean()
    assert learned.mean - floor >= share * (true.mean - floor), (learned.mean, true.mean, floor)
    assert improvement_p_value(random, learned.returns, rng=np.random.default_rng(0)) < 0.001


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cartpole_is_solved_with_200_labels(train, random_returns, seed: int) -> None:
    values = published("cartpole", seed=seed)
    learned = train(values)
    assert learned.labels <= 200
    assert learned.mean >= 475  # 95 % of the 500 that no agent can exceed
    random = random_returns(values)
    assert improvement_p_value(random, learned.returns, rng=np.random.default_rng(0)) < 0.001


@pytest.mark.parametrize(
    "values",
    [published("pendulum"), COLUMNS | {"seed": 0}, COLUMNS | {"seed": 1}],
    ids=["pendulum", "columns 0", "columns 1"],
)
def test_a_learned_reward_does_nearly_what_the_true_one_does(
    train, random_returns, values: dict[str, Any]
) -> None:
    learned, true = train(values), train(on_true_reward(values))
    assert_learned(learned, true, random_returns(values), share=0.95)

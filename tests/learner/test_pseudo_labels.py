"""SURF's pseudo-labels in a run: pairs of the rollout at hand that nobody is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from learner.agents.ppo import make_agent
from learner.agents.rollouts import Rollout
from learner.asking import unlabelled_pairs
from learner.config import RunConfig, parse_config
from learner.control import Control
from learner.envs.registry import make
from learner.loop import TrainingLoop
from learner.records import Workplace
from learner.rewards.objective import UnlabelledPairs
from server.models import Metric

CARTPOLE: dict[str, Any] = {
    "environment": {"id": "CartPole-v1", "num_envs": 4},
    "agent": {"network": "mlp", "hidden": [16], "n_steps": 60, "batch_size": 60, "n_epochs": 1},
    "reward": {"network": "mlp", "hidden": [16], "initial_epochs": 5, "epochs": 2, "members": 2},
    "segments": {"length": 8, "at_episode_end": "pad"},
    "total_steps": 4 * 4 * 60,
}


@pytest.fixture
def config() -> RunConfig:
    return parse_config({**CARTPOLE, "threads": 1, "precision": "float32"})


@pytest.fixture
def rollout(config: RunConfig) -> Iterator[Rollout]:
    environments = make(config.environment, num_envs=4, seed=0)
    environments.reset()
    yield make_agent(config, environments).collect(1, capture=False)
    environments.close()


def test_unlabelled_pairs_show_windows_of_single_episodes(
    rollout: Rollout, config: RunConfig
) -> None:
    drawn = unlabelled_pairs(rollout, config, np.random.default_rng(0))
    assert len(drawn.pairs) > 50
    assert (drawn.pairs[:, 0] != drawn.pairs[:, 1]).all()
    seen = {
        rollout.observations[t, n].tobytes(): (t, n) for t, n in np.ndindex(*rollout.ends.shape)
    }
    for key in np.unique(drawn.pairs):
        segment = drawn.store[int(key)]
        places = [seen[row.tobytes()] for row in segment.observations]
        (env,) = {n for _, n in places}
        steps = [t for t, _ in places]
        assert steps == list(range(steps[0], steps[0] + len(steps)))
        assert not rollout.ends[steps[:-1], env].any(), "steps of two episodes"
        np.testing.assert_array_equal(segment.actions, rollout.actions[steps, env])


def test_the_same_generator_draws_the_same_pairs(rollout: Rollout, config: RunConfig) -> None:
    one, two, other = (
        unlabelled_pairs(rollout, config, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert same(one, two)
    assert not same(one, other)


def same(one: UnlabelledPairs, two: UnlabelledPairs) -> bool:
    return one.pairs.shape == two.pairs.shape and all(
        np.array_equal(one.store[a].observations, two.store[b].observations)
        for a, b in zip(one.pairs.ravel().tolist(), two.pairs.ravel().tolist(), strict=True)
    )


def losses(workplace: Workplace, values: dict[str, Any]) -> list[float]:
    """Losses of the reward model, fit by fit."""
    records = workplace.lease("test", name=workplace.create_run(values))
    assert records is not None
    TrainingLoop(records, Control()).run()
    with workplace.database.read() as session:
        wanted = select(Metric.value).where(
            Metric.run_id == records.run_id, Metric.name == "reward_model/loss"
        )
        return list(session.scalars(wanted.order_by(Metric.step)))


@pytest.mark.slow
def test_a_run_fits_to_its_own_confident_answers_as_well(
    workplace: Workplace, tiny: Callable[..., dict[str, Any]]
) -> None:
    """Equal configs give equal losses, so whatever differs is the threshold's doing."""
    none, low, high, again = (
        losses(workplace, tiny(**{**CARTPOLE, "reward": CARTPOLE["reward"] | changes}))
        for changes in (
            {},
            {"pseudo_label_threshold": 0.501},
            {"pseudo_label_threshold": 0.9999},
            {"pseudo_label_threshold": 0.501},
        )
    )
    assert len(none) >= 2
    assert low == again
    assert len({none[0], low[0], high[0]}) == 3

"""Alarms of real runs into which a fault was planted, and what they are raised from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv
from gymnasium.wrappers import TimeAwareObservation, TimeLimit
from numpy.typing import NDArray
from sqlalchemy import select
from structlog.testing import capture_logs

from learner.control import Control
from learner.loop import TrainingLoop
from learner.records import Workplace
from learner.rewards.ensemble import RewardEnsemble
from server.models import Alarm, Change, Query, RewardModel
from server.store import changes, metrics, runs

Build = Callable[..., dict[str, Any]]
Floats = NDArray[np.float32]

FAST: dict[str, Any] = {
    "agent": {"network": "mlp", "n_steps": 64, "batch_size": 64, "n_epochs": 8},
    "reward": {"network": "mlp", "initial_epochs": 1, "epochs": 1},
    "queries": {"budget": 24, "initial": 12},
}


def train(workplace: Workplace, config: dict[str, Any]) -> list[Alarm]:
    """Train to the end; the alarms raised on the way, oldest first."""
    name = workplace.create_run(config)
    records = workplace.lease("test", name=name)
    assert records is not None
    TrainingLoop(records, Control()).run()
    with workplace.database.read() as s:
        return list(s.scalars(select(Alarm).order_by(Alarm.id)))


def plant(monkeypatch: pytest.MonkeyPatch, reward: Callable[[Floats], Floats]) -> None:
    """Let every reward model pay for something else than it was taught."""

    def raw(self: RewardEnsemble, observations: Floats, _: Any = None) -> Floats:
        members = np.linspace(0.98, 1.02, self.config.members, dtype=np.float32)
        paid = reward(observations).astype(np.float32)
        return members.reshape(-1, *[1] * paid.ndim) * paid

    monkeypatch.setattr(RewardEnsemble, "raw", raw)
    monkeypatch.setattr(RewardEnsemble, "normalise", lambda self, paid: paid)


@pytest.mark.slow
def test_an_agent_that_exploits_its_reward_model_raises_the_alarm(
    workplace: Workplace, tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step costs, less so where the pole leans: to fall at once is what pays best."""
    plant(monkeypatch, lambda seen: 0.1 * np.abs(seen[..., 2]) - 0.05)
    iterations = 12
    config = tiny(
        **{**FAST, "agent": {**FAST["agent"], "learning_rate": 3e-3, "gamma": 0.98}},
        total_steps=iterations * 16 * 64,
        environment={"id": "CartPole-v1", "num_envs": 16},
        segments={"at_episode_end": "pad", "endings": 0.5},
        evaluation={"every": 1, "interim_episodes": 24, "episodes": 24, "trial_pairs": 2},
    )
    raised = train(workplace, config)
    hacking = next(alarm for alarm in raised if alarm.kind == "hacking")
    assert "exploiting" in hacking.text
    assert hacking.evidence == "chart-predicted"
    assert hacking.iteration == first_fall(workplace)


def first_fall(workplace: Workplace) -> int:
    """The first iteration from which over three evaluations the one rose and the other fell."""
    with workplace.database.read() as s:
        run_id = runs.get_run(s, name="tiny").id
        names = ("evaluation/predicted_return_test", "evaluation/return_test")
        curves = metrics.series(s, run_id=run_id, names=[*names, "evaluation/return_train"])
    predicted = [value for _, value in curves[names[0]]]
    fitted = len(curves[names[1]]) - len(predicted)
    true = [
        (a + b) / 2
        for (_, a), (_, b) in zip(
            curves[names[1]][fitted:], curves["evaluation/return_train"][fitted:], strict=True
        )
    ]
    width = max(predicted) - min(predicted)
    falls = (
        number
        for number in range(3, len(predicted))
        if predicted[number] - predicted[number - 3] > width / 3
        and true[number] <= true[number - 3]
    )
    return fitted + next(falls) + 1


@pytest.fixture
def timed_pendulum() -> Iterator[str]:
    """A pendulum that shows the time."""

    def make(render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        return TimeAwareObservation(TimeLimit(PendulumEnv(render_mode=render_mode), 200))

    gymnasium.register("TimedPendulum-v0", entry_point=make)
    yield "TimedPendulum-v0"
    gymnasium.registry.pop("TimedPendulum-v0")


@pytest.mark.slow
def test_a_reward_that_is_a_clock_raises_the_alarm_with_its_first_use(
    workplace: Workplace, tiny: Build, monkeypatch: pytest.MonkeyPatch, timed_pendulum: str
) -> None:
    plant(monkeypatch, lambda seen: seen[..., -1] / 200)
    config = tiny(
        **{**FAST, "agent": {**FAST["agent"], "n_steps": 100, "batch_size": 100}},
        total_steps=3 * 8 * 100,
        environment={"id": timed_pendulum, "num_envs": 8},
    )
    raised = train(workplace, config)
    assert [alarm.kind for alarm in raised] == ["clock"]
    with workplace.database.read() as s:
        first = s.scalars(select(RewardModel).order_by(RewardModel.version)).first()
    assert first is not None
    assert raised[0].iteration == first.iteration


def test_figures_of_labels_and_machine_are_kept(workplace: Workplace, tiny: Build) -> None:
    config = tiny(**FAST, total_steps=3 * 8 * 64, environment={"id": "CartPole-v1"})
    train(workplace, config)
    with workplace.database.read() as s:
        found = metrics.latest(s, run_id=runs.get_run(s, name="tiny").id)
    assert found["preferences/total"] == 24
    assert found["preferences/left"] == 0
    assert 0 <= found["preferences/decided"] <= 24
    assert 0 <= found["preferences/tie_share"] <= 1
    assert found["time/labels_per_minute"] > 0
    assert "time/seconds_per_label" not in found  # no person answered
    assert found["system/memory_gib"] > 0.05
    assert found["system/disk_free_gib"] > 0
    assert 0 < found["time/time_elapsed"] < 300
    assert "system/gpu_percent" not in found


@pytest.mark.slow
def test_changes_are_taken_up_with_the_next_iteration_and_again_after_a_restart(
    workplace: Workplace, tiny: Build
) -> None:
    """Tested here because it is people at the run's page who make them."""
    config = tiny(**FAST, total_steps=6 * 8 * 64, environment={"id": "CartPole-v1"})
    name = workplace.create_run(config)
    records = workplace.lease("test", name=name)
    assert records is not None
    loop = TrainingLoop(records, Control())
    loop.iterate()
    loop.iterate()
    with workplace.database.write() as s:
        run = runs.get_run(s, name=name)
        changes.change(
            s, run=run, label_budget=60, strategy="entropy", person_id=None, now=datetime.now(UTC)
        )
    loop.iterate()
    assert (loop.config.queries.budget, loop.config.queries.strategy) == (60, "entropy")
    with workplace.database.read() as s:
        row = s.scalars(select(Change)).one()
        assert (row.iteration, row.taken_at is not None) == (3, True)
        assert metrics.latest(s, run_id=run.id)["preferences/left"] > 0
        strategies = s.scalars(select(Query.selection).where(Query.iteration == 3)).all()
    assert {one["strategy"] for one in strategies} <= {"entropy", "uniform"}
    again = TrainingLoop(records, Control())
    assert again.iteration == 3
    outcome = again.run()
    assert outcome.labels == 60


@pytest.mark.parametrize(("at_episode_end", "warned"), [("shift", 1), ("pad", 0)])
def test_where_centring_undoes_what_episode_lengths_teach_a_run_says_so_once(
    workplace: Workplace, tiny: Build, at_episode_end: str, warned: int
) -> None:
    """Most episodes of an untrained CartPole are shorter than 40 steps."""
    segments = {"length": 40, "at_episode_end": at_episode_end}
    environment = {"id": "CartPole-v1", "num_levels": 200}
    with capture_logs() as logs:
        train(workplace, tiny(**FAST, environment=environment, segments=segments))
    assert sum("set it to pad" in entry["event"] for entry in logs) == warned

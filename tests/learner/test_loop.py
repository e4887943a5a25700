"""The loop on real Procgen: determinism, resume, people's answers, what never reaches the agent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sqlalchemy import select

from learner.agents.ppo import PPOAgent
from learner.agents.rollouts import Rollout
from learner.control import Control, Stopped
from learner.devices import Compute
from learner.envs.protocol import Step
from learner.errors import LearnerError
from learner.loop import Outcome, Progress, TrainingLoop
from learner.records import RunRecords, RunState, Workplace
from learner.worker import train
from server.models import Query, RewardModel, Run, Segment
from server.store import assignments, corrections, people

Build = Callable[..., dict[str, Any]]
Stored = Callable[[Workplace], dict[str, list[Any]]]


def start(workplace: Workplace, config: dict[str, Any]) -> RunRecords:
    name = workplace.create_run(config)
    records = workplace.lease("test", name=name)
    assert records is not None
    return records


def finish(records: RunRecords) -> Outcome:
    return TrainingLoop(records, Control()).run()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_preferences_and_metrics(
    make_workplace: Callable[[str], Workplace], tiny: Build, stored: Stored
) -> None:
    workplaces = [make_workplace("one"), make_workplace("two")]
    for workplace in workplaces:
        finish(start(workplace, tiny()))
    one, two = (stored(workplace) for workplace in workplaces)
    assert [why for *_, why in one["preferences"]].count("ordinary") == 16
    assert one == two


@pytest.mark.slow
def test_a_measurement_that_comes_out_differently_changes_nothing(
    workplace: Workplace, tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads and precision left open: measured for the first run, kept for the second."""
    outcomes, wanted = [], iter(("bfloat16", "float32"))
    for _ in range(2):
        fastest = next(wanted)

        def least(steps: Any, fastest: str = fastest) -> dict[Compute, float]:
            return {one: 1.0 if one.precision == fastest else 10.0 for one in steps}

        monkeypatch.setattr("learner.choices.least_seconds", least)
        loop = TrainingLoop(start(workplace, tiny(precision="auto")), Control())
        metrics = loop.run().metrics
        measured = ("time/", "system/")  # of this machine at this moment
        outcomes.append({k: one for k, one in metrics.items() if not k.startswith(measured)})
        assert loop.agent.compute.precision == loop.reward_compute.precision == "bfloat16"
    assert outcomes[0] == outcomes[1]


@pytest.mark.slow
def test_a_run_goes_on_with_the_threads_and_precision_it_was_begun_with(
    workplace: Workplace, tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "learner.choices.least_seconds",
        lambda steps: {one: 1.0 if one.precision == "bfloat16" else 10.0 for one in steps},
    )
    records = start(workplace, tiny(precision="auto"))
    control = LeftAt(2, "collecting")
    control.loop = TrainingLoop(records, control)
    with pytest.raises(Stopped):
        control.loop.run()
    for file in (workplace.settings.var / "compute").iterdir():
        file.unlink()
    monkeypatch.setattr("learner.choices.least_seconds", None)  # not measured again
    loop = TrainingLoop(records, Control())
    assert loop.agent.compute == loop.reward_compute == Compute("cpu", "bfloat16", 1)
    assert loop.ensemble.precision == "bfloat16"


@pytest.mark.slow
def test_another_seed_gives_other_pairs(
    make_workplace: Callable[[str], Workplace], tiny: Build, stored: Stored
) -> None:
    one, two = make_workplace("one"), make_workplace("two")
    finish(start(one, tiny()))
    finish(start(two, tiny(seed=4)))
    assert stored(one)["recipes"] != stored(two)["recipes"]


class LeftAt(Control):
    """Asks to leave while the loop is about something in some iteration."""

    def __init__(self, stored_iterations: int, activity: str) -> None:
        super().__init__()
        self._at = (stored_iterations, activity)
        self.loop: TrainingLoop | None = None

    def pulse(self) -> None:
        if self.loop and (self.loop.iteration, self.activity) == self._at:
            self.stop("test")
        super().pulse()


@pytest.mark.slow
def test_a_run_left_in_mid_iteration_ends_as_an_unbroken_one(
    make_workplace: Callable[[str], Workplace], tiny: Build, stored: Stored
) -> None:
    """Left before the first fit, and after one, two and three of them."""
    unbroken, broken = make_workplace("unbroken"), make_workplace("broken")
    finish(start(unbroken, tiny()))
    records = start(broken, tiny())
    collecting, improving = "collecting", "improving the agent"
    for point in ((1, collecting), (1, improving), (2, collecting), (3, improving)):
        control = LeftAt(*point)
        control.loop = TrainingLoop(records, control)
        with pytest.raises(Stopped):
            control.loop.run()
        assert control.loop.iteration == point[0]
    finish(records)
    assert stored(broken) == stored(unbroken)


VECTORS: dict[str, Any] = {
    "total_steps": 6 * 8 * 40,
    "environment": {"id": "CartPole-v1"},
    "agent": {"network": "mlp"},
    "segments": {"at_episode_end": "pad"},
    "reward": {"network": "mlp"},
}


@pytest.mark.slow
def test_the_step_budget_is_kept_and_every_step_counted(
    workplace: Workplace, tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = TrainingLoop(start(workplace, tiny(total_steps=1000)), Control())
    taken, step_wait = 0, loop.environments.step_wait

    def counted() -> Step:
        nonlocal taken
        taken += loop.environments.num_envs
        return step_wait()

    monkeypatch.setattr(loop.environments, "step_wait", counted)
    assert loop.run().steps == taken == 1000  # three rollouts of 320 steps, and a short one of 40


def test_first_pairs_come_from_many_untrained_rollouts_and_hidden_ends_are_held_out(
    workplace: Workplace, tiny: Build
) -> None:
    """Two rollouts of one endless episode per environment, then the first fit."""
    queries = {"initial": 12, "initial_steps": 600}
    penalty = {"id": "CartPole-v1", "episode_end": "penalty", "end_penalty": -5.0}
    values = VECTORS | {"environment": penalty}
    loop = TrainingLoop(start(workplace, tiny(**values, queries=queries)), Control())
    figures = [loop.iterate() for _ in range(3)]
    loop.environments.close()
    assert [one["preferences/asked"] for one in figures[:2]] == [6, 12]
    assert [("reward_model/labels" in one, "train/loss" in one) for one in figures] == [
        (False, False), (False, False), (True, True)
    ]  # fmt: skip
    assert figures[2]["time/total_timesteps"] == 3 * 320
    assert figures[2]["reward_model/labels"] == 12
    assert figures[2]["reward_model/labels_heldout"] >= 2
    assert figures[2]["reward_model/labels_lost"] == 0


@pytest.mark.slow
def test_labels_that_came_at_once_get_their_passes_in_an_unbroken_run_and_in_a_resumed_one(
    make_workplace: Callable[[str], Workplace], tiny: Build, stored: Stored
) -> None:
    reward = {"network": "mlp", "members": 1, "batch_size": 2, "bootstrap": False}
    reward |= {"initial_epochs": 3, "initial_max_batches": 6, "max_batches": 6}
    values = VECTORS | {"reward": reward, "queries": {"initial": 16, "initial_steps": 320}}
    one, two = make_workplace("one"), make_workplace("two")
    loop = TrainingLoop(start(one, tiny(**values)), Control())
    passes = [loop.iterate().get("reward_model/epochs", 0.0) for _ in range(6)]
    loop.environments.close()
    assert [made > 0 for made in passes] == [False, True, True, True, False, False]
    assert sum(passes) >= 3
    assert max(passes) < 1.5

    records = start(two, tiny(**values))
    for _ in range(6):
        again = TrainingLoop(records, Control())
        again.iterate()
        again.environments.close()
    assert stored(two) == stored(one)


@pytest.mark.slow
def test_no_more_labels_than_the_budget(workplace: Workplace, tiny: Build) -> None:
    outcome = finish(start(workplace, tiny()))
    assert outcome.labels == 16


def test_every_label_is_asked_in_time_to_be_learned_from(workplace: Workplace, tiny: Build) -> None:
    """Four rollouts: what is asked after the third is in the last fit, and nothing is later."""
    values = VECTORS | {"total_steps": 4 * 8 * 40}
    outcome = finish(start(workplace, tiny(**values, evaluation={"every": 1})))
    with workplace.database.read() as session:
        asked = set(session.scalars(select(Query.iteration).where(Query.trial_id.is_(None))))
        newest = session.scalars(select(RewardModel).order_by(RewardModel.version.desc())).first()
    assert newest is not None
    assert asked == {1, 2, 3}
    assert newest.iteration == 4
    assert outcome.labels == newest.preferences == 16


def test_an_agent_never_trains_on_the_levels_it_is_scored_on(
    workplace: Workplace, tiny: Build
) -> None:
    config = tiny(environment={"num_levels": 0}, evaluation={"test_start_level": 50})
    loop = TrainingLoop(start(workplace, config), Control())
    assert loop.environments.levels().max() < 50
    loop.environments.close()


class Poisoned(TrainingLoop):
    """A run whose true rewards are NaN whenever anything but oracle and evaluation could look."""

    def _fit(self, rollout: Rollout) -> Any:
        return super()._fit(self._hidden(rollout))

    def _raw_rewards(self, rollout: Rollout) -> Any:
        return super()._raw_rewards(self._hidden(rollout))

    def _ask(self, rollout: Rollout, raw: Any) -> Any:
        questions = super()._ask(rollout, raw)
        rollout.true_rewards[:] = np.nan  # what is asked is copied by now
        return questions

    @staticmethod
    def _hidden(rollout: Rollout) -> Rollout:
        return replace(rollout, true_rewards=np.full_like(rollout.true_rewards, np.nan))


@pytest.mark.slow
def test_the_true_reward_never_reaches_agent_or_reward_model(
    make_workplace: Callable[[str], Workplace], tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Poisoned between oracle and training, it changes nothing (peers: a leak of rl-teacher)."""
    config = tiny(reward={"pseudo_label_threshold": 0.6}, agent={"exploration_bonus": 0.1})
    improve = PPOAgent.improve

    def poison(self: PPOAgent, rollout: Rollout, rewards: Any, **kwargs: Any) -> Any:
        return improve(self, Poisoned._hidden(rollout), rewards, **kwargs)

    weights = []
    for kind in (TrainingLoop, Poisoned):
        loop = kind(start(make_workplace(kind.__name__), config), Control())
        loop.run()
        assert loop.version
        networks = enumerate(loop.ensemble.networks)
        weights.append(loop.agent.policy.state_dict())
        weights[-1] |= {
            f"{n} {key}": w for n, one in networks for key, w in one.state_dict().items()
        }
        monkeypatch.setattr(PPOAgent, "improve", poison)
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][key] == weights[1][key]).all() for key in weights[0])


class Brief(gymnasium.Env[Any, int]):
    """Episodes of three steps; moving right pays."""

    observation_space = spaces.Box(-9, 9, (2,), np.float32)
    action_space = spaces.Discrete(2)
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.steps = self.place = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps, self.place = self.steps + 1, self.place + 2 * int(action) - 1
        seen = np.array([self.place, self.steps], np.float32)
        return seen, float(self.place), self.steps == 3, False, {}


gymnasium.register("Brief-v0", Brief)


class Shaky(Brief):
    """Never the same twice, so that it cannot be put back."""

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        seen, *rest = super().step(action)
        return seen + np.random.default_rng().random(2, np.float32), *rest


gymnasium.register("Shaky-v0", Shaky)


def test_where_episodes_cannot_be_put_back_the_agents_begin_anew(
    workplace: Workplace, tiny: Build
) -> None:
    """A rollout of 40 steps leaves episodes of three after their first."""
    values = VECTORS | {"environment": {"id": "Shaky-v0"}, "segments": {"length": 3}}
    records = start(workplace, tiny(**values))
    loop = TrainingLoop(records, Control())
    loop.iterate()
    loop.environments.close()
    assert set(loop.agent.state_dict()["episode_times"]) == {1}
    again = TrainingLoop(records, Control())
    again.environments.close()
    assert again.iteration == 1
    state = again.agent.state_dict()
    assert set(state["episode_times"]) == {0}
    assert set(state["scale"]["returns"]) == {0.0}


@pytest.mark.slow
@pytest.mark.parametrize("at_episode_end", ["shift", "pad"])
def test_episodes_of_three_steps_are_learned_from(
    workplace: Workplace, tiny: Build, at_episode_end: str
) -> None:
    """Segments of 25 steps then are whole episodes."""
    values = VECTORS | {
        "environment": {"id": "Brief-v0"},
        "segments": {"length": 25, "at_episode_end": at_episode_end},
        "reward": {"network": "mlp", "initial_epochs": 200, "epochs": 50, "learning_rate": 3e-3},
    }
    loop = TrainingLoop(start(workplace, tiny(**values)), Control())
    outcome = loop.run()
    assert outcome.labels == 16
    assert outcome.metrics["reward_model/accuracy"] > 0.8
    left, right = loop.ensemble.rewards(np.array([[-2, 2], [2, 2]], np.float32))
    assert right > left


def test_every_step_is_paid_for_the_frame_before_its_action(
    workplace: Workplace, tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paid for the frame after it, the last step of an episode is paid for the next one's first."""
    loop = TrainingLoop(start(workplace, tiny()), Control())
    improve, ended = PPOAgent.improve, []

    def watched(self: PPOAgent, rollout: Rollout, rewards: Any, **kwargs: Any) -> Any:
        for step in (0, rollout.steps // 2, rollout.steps - 1):
            paid = loop.ensemble.rewards(rollout.observations[step], rollout.actions[step])
            np.testing.assert_allclose(rewards[step], paid, atol=1e-5)
        ended.append(rollout.ends.sum())
        return improve(self, rollout, rewards, **kwargs)

    monkeypatch.setattr(PPOAgent, "improve", watched)
    loop.run()
    assert sum(ended) > 0


@pytest.mark.slow
def test_the_baseline_learns_from_the_true_reward_and_asks_nothing(
    workplace: Workplace, tiny: Build, stored: Stored
) -> None:
    outcome = finish(start(workplace, tiny(agent={"reward": "true"})))
    assert outcome.labels == 0
    assert stored(workplace)["preferences"] == []
    assert "train/loss" in outcome.metrics


class Labeller:
    """A person's answers through the store, as the server gives them."""

    def __init__(self, workplace: Workplace, run_id: int) -> None:
        self.workplace, self.run_id = workplace, run_id
        with workplace.database.write() as session:
            self.person = people.local_person(session, now=datetime.now(UTC)).id

    def answer(self, side: assignments.Side, key: str) -> int:
        now = datetime.now(UTC)
        with self.workplace.database.write() as session:
            (leased, *_) = assignments.next_assignments(
                session, run_id=self.run_id, person_id=self.person, now=now, seconds=60, count=1
            )
            row = assignments.submit(
                session,
                assignment_id=leased.id,
                person_id=self.person,
                side=side,
                seconds=1.0,
                submission_key=key,
                now=now,
            )
            return row.id

    def undo(self) -> None:
        with self.workplace.database.write() as session:
            corrections.withdraw(
                session,
                person_id=self.person,
                run_id=self.run_id,
                submission_key="undo",
                now=datetime.now(UTC),
                seconds=60,
            )


@pytest.mark.slow
def test_the_loop_waits_for_the_first_answers_and_fits_what_was_not_undone(
    workplace: Workplace, tiny: Build
) -> None:
    config = tiny(
        teacher={"kind": "person"},
        queries={"min_preferences": 3, "open_target": 5, "initial": 5, "budget": 16},
    )
    records = start(workplace, config)
    reported: list[Progress] = []
    first = threading.Event()

    def report(progress: Progress) -> None:
        reported.append(progress)
        first.set()

    outcomes: list[Outcome] = []
    loop = TrainingLoop(records, Control(), report)
    trainer = threading.Thread(target=lambda: outcomes.append(loop.run()), daemon=True)
    trainer.start()
    assert first.wait(60)
    for segment_id in records.segments_without_clip(100):
        records.store_clip(segment_id, b"not looked at here")
    labeller = Labeller(workplace, records.run_id)
    labeller.answer("left", "1")
    labeller.answer("right", "2")
    labeller.undo()
    assert len(reported) == 1, "trained before the first answers that count"
    labeller.answer("tie", "3")
    labeller.answer("incomparable", "4")
    trainer.join(120)
    assert outcomes
    with workplace.database.read() as session:
        fitted = session.scalars(select(RewardModel).order_by(RewardModel.version)).first()
    assert fitted is not None
    # left and tie; the undone and the incomparable answers are no labels
    assert fitted.preferences == 2


class Unpaid(Brief):
    """An environment that nobody has given a reward: what it pays is not a number."""

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        seen, _, *ends = super().step(action)
        return seen, np.nan, *ends


gymnasium.register("Unpaid-v0", Unpaid)


def test_a_run_of_people_rests_where_the_true_reward_is_not_a_number(
    workplace: Workplace, tiny: Build
) -> None:
    config = tiny(**VECTORS | {"environment": {"id": "Unpaid-v0"}, "teacher": {"kind": "person"}})
    records = start(workplace, config | {"segments": {**config["segments"], "length": 3}})
    with pytest.raises(LearnerError, match="true return is not finite") as raised:
        train(records)
    assert raised.value.resumable
    with workplace.database.read() as session:
        run = session.get_one(Run, records.run_id)
        assert (run.state, run.reason) == (RunState.PAUSED, str(raised.value))


@pytest.mark.slow
def test_the_loop_asks_more_where_too_few_were_asked_for_the_first_fit(
    workplace: Workplace, tiny: Build
) -> None:
    queries = {"min_preferences": 8, "initial": 4, "schedule": {"kind": "constant"}}
    outcome = finish(start(workplace, tiny(queries=queries)))
    assert outcome.labels == 16
    with workplace.database.read() as session:
        fitted = session.scalars(select(RewardModel).order_by(RewardModel.version)).first()
    assert fitted is not None
    assert fitted.preferences >= 8


@pytest.mark.slow
def test_every_stored_recipe_names_an_artifact_that_replays(
    workplace: Workplace, tiny: Build
) -> None:
    from learner.replay import verify

    records = start(workplace, tiny())
    finish(records)
    with workplace.database.read() as session:
        ids = list(session.scalars(select(Segment.id)))
        asked = session.scalars(select(Query.segment_a_id).where(Query.trial_id.is_(None))).all()
    assert len(asked) == 16
    assert len(ids) >= 32
    for segment_id in ids:
        verify(records.segment(segment_id).trajectory)

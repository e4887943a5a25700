"""Runs that cannot come to anything, and runs that come upon numbers that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sqlalchemy import select, update

from learner.agents.features import SpaceError
from learner.agents.ppo import PPOAgent
from learner.checkpoints import FORMAT, Checkpoint, CheckpointError
from learner.config import ConfigError, parse_config
from learner.control import Control, Stopped
from learner.devices import Compute, DeviceError
from learner.envs.protocol import UnavailableEnvironment
from learner.errors import LearnerError
from learner.loop import TrainingLoop
from learner.records import RunRecords, Workplace
from learner.refusals import (
    LongSegments,
    NothingLearned,
    OnlyTies,
    refuse_short_run,
    refuse_ties,
    refuse_untrained,
)
from learner.rewards.networks import UnsuitableSpace
from learner.worker import train
from server.models import Checkpoint as CheckpointRow
from server.models import Metric, Preference, Purpose, RewardModel, Run, RunState

Build = Callable[..., dict[str, Any]]


class Strip(gymnasium.Env[Any, Any]):
    """Steps along a strip for 12 steps; its parts can be spoiled from outside."""

    observation_space: Any = spaces.Box(-1, 1, (3,), np.float32)
    action_space: Any = spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    paid: float | None = None
    shown = 0.0

    def __init__(self, render_mode: str | None = None, kind: str = "") -> None:
        self.render_mode = render_mode
        if kind:
            self.observation_space, self.action_space = SPACES[kind]

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.steps, self.place = 0, 0.0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        self.place += 0.08 * (2 * int(np.ravel(action)[0] > 0) - 1)
        reward = self.place if Strip.paid is None else Strip.paid
        return self._seen(), reward, self.steps == 12, False, {}

    def render(self) -> Any:
        return np.zeros((8, 8, 3), np.uint8)

    def _seen(self) -> Any:
        if isinstance(self.observation_space, spaces.Box):
            seen = np.zeros(self.observation_space.shape, self.observation_space.dtype)
            seen.flat[:2] = (self.place + Strip.shown, self.steps / 12)
            return seen
        return self.observation_space.sample()


SPACES: dict[str, tuple[Any, Any]] = {
    "sequences": (spaces.Sequence(spaces.Discrete(3)), spaces.Discrete(2)),
    "many actions at once": (spaces.Box(-1, 1, (3,), np.float32), spaces.MultiDiscrete([2, 3])),
    "actions as a picture": (
        spaces.Box(-1, 1, (3,), np.float32),
        spaces.Box(-1, 1, (2, 2), np.float32),
    ),
    "unbounded actions": (
        spaces.Box(-1, 1, (3,), np.float32),
        spaces.Box(-np.inf, np.inf, (2,), np.float32),
    ),
    "tiny pictures": (spaces.Box(0, 255, (4, 4, 3), np.uint8), spaces.Discrete(2)),
}

gymnasium.register("Strip-v0", Strip)
gymnasium.register("LimitedStrip-v0", Strip, max_episode_steps=6)

STRIP: dict[str, Any] = {
    "environment": {"id": "Strip-v0", "num_envs": 4, "num_levels": 200},
    "agent": {"network": "mlp", "hidden": [8], "n_steps": 30, "batch_size": 60, "n_epochs": 1},
    "reward": {"network": "mlp", "hidden": [8], "initial_epochs": 2, "epochs": 1, "members": 2},
    "segments": {"length": 5},
    "total_steps": 4 * 4 * 30,
}


@pytest.fixture(autouse=True)
def unspoilt() -> Iterator[None]:
    """The strip pays what it should again after each test."""
    yield
    Strip.paid = None


@pytest.fixture
def strip(tiny: Build) -> Build:
    """Configs of runs on the strip, a second each."""

    def build(**changes: Any) -> dict[str, Any]:
        sections = dict(STRIP)
        for key, change in changes.items():
            old = sections.get(key, {})
            sections[key] = {**old, **change} if isinstance(change, dict) else change
        return tiny(**sections)

    return build


def start(workplace: Workplace, config: dict[str, Any]) -> RunRecords:
    records = workplace.lease("test", name=workplace.create_run(config))
    assert records is not None
    return records


def refused(workplace: Workplace, config: dict[str, Any]) -> str:
    """The one line that a worker stores with a run that cannot go on, and raises."""
    records = start(workplace, config)
    with pytest.raises(LearnerError) as raised:
        train(records)
    with workplace.database.read() as session:
        run = session.get_one(Run, records.run_id)
    assert run.reason == str(raised.value)
    assert "\n" not in run.reason
    assert run.state is (RunState.PAUSED if raised.value.resumable else RunState.FAILED)
    return run.reason


# -- what no network can take ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "error", "message"),
    [
        ("sequences", {}, UnavailableEnvironment, "observations of varying size"),
        ("unbounded actions", {}, UnavailableEnvironment, "cannot give; use an environment with"),
        (
            "many actions at once",
            {},
            UnavailableEnvironment,
            "cannot give; use an environment with",
        ),
        ("actions as a picture", {}, SpaceError, "Discrete from 0 or a Box with one axis"),
        ("tiny pictures", {"agent": {"network": "nature"}}, SpaceError, "at least 36x36"),
        (
            "tiny pictures",
            {"agent": {"network": "impala-small"}, "reward": {"network": "christiano"}},
            UnsuitableSpace,
            "too small for the christiano reward network",
        ),
        ("", {"agent": {"network": "nature"}}, SpaceError, "image"),
        ("", {"reward": {"network": "nature"}}, UnsuitableSpace, "set reward.network=mlp"),
    ],
)
def test_spaces_that_a_network_cannot_take(
    workplace: Workplace,
    strip: Build,
    kind: str,
    changes: dict[str, Any],
    error: type[LearnerError],
    message: str,
) -> None:
    environment = {"options": {"kind": kind}} if kind else {}
    records = start(workplace, strip(environment=environment, **changes))
    with pytest.raises(error, match=message) as raised:
        train(records)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "limit"),
    [
        ({"id": "LimitedStrip-v0"}, 6),
        ({"id": "Strip-v0", "options": {"max_episode_steps": 5}}, 5),
        ({"id": "Strip-v0", "episode_end": "fixed_horizon", "horizon": 7}, 7),
    ],
)
def test_segments_longer_than_an_episode_can_be(
    workplace: Workplace, strip: Build, environment: dict[str, Any], limit: int
) -> None:
    message = f"segments.length is {limit + 1}, but an episode of .* at most {limit} steps"
    with pytest.raises(LongSegments, match=message):
        train(start(workplace, strip(environment=environment, segments={"length": limit + 1})))


def test_segments_longer_than_a_game_between_hidden_ends_are_fine(
    workplace: Workplace, strip: Build
) -> None:
    hidden = {"id": "LimitedStrip-v0", "episode_end": "hide"}
    config = strip(environment=hidden, segments={"length": 9})
    TrainingLoop(start(workplace, config), Control()).environments.close()


# -- runs without a step to train in ----------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_steps": 120}, "first 120 steps .* rollouts of 120, .*; raise total_steps, or "),
        ({"total_steps": 123}, "lower agent.n_steps or environment.num_envs"),  # of 4 at once
        (
            {"total_steps": 240, "queries": {"budget": 16, "initial": 6, "initial_steps": 121}},
            "total_steps is 240, but the first 240 steps .*lower queries.initial_steps",
        ),
    ],
)
def test_a_run_that_would_never_train_is_refused_before_it_begins(
    workplace: Workplace, strip: Build, changes: dict[str, Any], message: str
) -> None:
    config = strip(**changes)
    records = start(workplace, config)
    with pytest.raises(NothingLearned, match=message) as raised:
        train(records)
    assert "\n" not in str(raised.value)
    with workplace.database.read() as session:
        assert session.get_one(Run, records.run_id).steps == 0
    refuse_short_run(parse_config({**config, "agent": {**config["agent"], "reward": "true"}}))
    refuse_short_run(parse_config({**config, "total_steps": config["total_steps"] + 4}))


def test_answers_that_come_too_late_are_said_to(workplace: Workplace, strip: Build) -> None:
    """A version is all that is missing: enough was answered, and some of it decided."""
    config = parse_config(strip())
    with pytest.raises(NothingLearned, match="never trained: the 16 answers came after the last"):
        refuse_untrained(config, 16, 5)


# -- answers that teach nothing ---------------------------------------------------------------


def test_a_budget_of_no_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="budget is 0, so there would be no reward to learn"):
        parse_config({"queries": {"budget": 0, "initial": 0}})
    parse_config({"queries": {"budget": 0, "initial": 0}, "agent": {"reward": "true"}})


def test_a_teacher_that_skips_everything(workplace: Workplace, strip: Build) -> None:
    """B-Pref's skip threshold grows with the policy's returns, so they are made positive."""
    Strip.paid = 1.0
    reason = refused(workplace, strip(teacher={"eps_skip": 10.0}))
    assert reason.startswith("the agent was never trained: not one pair was answered")
    assert "teacher.eps_skip" in reason


def test_answers_that_are_all_ties_train_nothing(workplace: Workplace, strip: Build) -> None:
    """A model of ties alone is constant, and normalising it would pay the agent in noise."""
    Strip.paid = 1.0
    reason = refused(workplace, strip())
    assert reason.startswith("none of the first 6 answers prefers a clip; ")
    assert "eps_equal" not in reason  # it is 0
    again = workplace.lease("test", name="tiny")
    assert again is not None
    with pytest.raises(LearnerError, match="never trained: none of the 16 answers prefers a clip"):
        train(again)
    with workplace.database.read() as session:
        assert not session.scalars(select(RewardModel)).all()
        assert session.scalar(select(Metric).where(Metric.name == "train/loss")) is None


def test_answers_that_all_name_the_same_side_are_learned_from(
    workplace: Workplace, strip: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learner.teachers.SyntheticTeacher.answer", lambda *_: "a")
    outcome = train(start(workplace, strip()))
    assert outcome is not None
    assert all(np.isfinite(value) for value in outcome.metrics.values())
    asked = select(Preference.answer).where(Preference.purpose == Purpose.ORDINARY)
    with workplace.database.read() as session:
        assert {one.value for one in session.scalars(asked)} == {"a"}


@pytest.mark.parametrize(("ends", "advised"), [("as_is", True), ("hide", False)])
def test_endings_are_advised_only_where_they_are_seen(
    strip: Build, ends: str, advised: bool
) -> None:
    config = parse_config(strip(environment={"episode_end": ends}))
    with pytest.raises(OnlyTies) as raised:
        refuse_ties(config, 6, 0)
    assert ("segments.endings" in str(raised.value)) is advised


# -- numbers that are none --------------------------------------------------------------------


def rows(workplace: Workplace) -> dict[str, Any]:
    """What the database names: nothing of it may change while a run rests."""
    with workplace.database.read() as session:
        return {
            "checkpoints": session.scalars(select(CheckpointRow.artifact)).all(),
            "versions": session.scalars(select(RewardModel.artifact)).all(),
            "metrics": session.execute(
                select(Metric.name, Metric.step, Metric.value)
                .where(Metric.name.not_like("time/%"), Metric.name.not_like("system/%"))
                .order_by(Metric.name, Metric.step)
            ).all(),
            "answers": session.scalars(select(Preference.answer).order_by(Preference.id)).all(),
        }


SPOILT = {
    "true rewards of NaN": ({}, "paid", np.nan, "true return is not finite"),
    "infinite true rewards": ({}, "paid", np.inf, "true return is not finite"),
    "NaN paid to the agent": ({"agent": {"reward": "true"}}, "paid", np.nan, "not finite"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "what", "value", "message"), SPOILT.values(), ids=SPOILT)
def test_a_run_rests_at_its_last_good_checkpoint_and_goes_on_from_there(
    make_workplace: Callable[[str], Workplace],
    strip: Build,
    changes: dict[str, Any],
    what: str,
    value: float,
    message: str,
) -> None:
    unbroken, broken = make_workplace("unbroken"), make_workplace("broken")
    train(start(unbroken, strip(**changes)))
    records = start(broken, strip(**changes))

    def spoil(progress: Any) -> None:
        if progress.iteration == 2:
            setattr(Strip, what, value)

    with pytest.raises(LearnerError, match=message) as raised:
        train(records, spoil)
    Strip.paid = None
    assert raised.value.resumable
    with broken.database.read() as session:
        run = session.get_one(Run, records.run_id)
        assert (run.state, run.iteration) == (RunState.PAUSED, 2)
        assert run.reason == str(raised.value)
    kept = rows(broken)
    for name in [*kept["checkpoints"], *kept["versions"]]:
        assert broken.artifacts.get(name)
    again = broken.lease("test", name=records.name)
    assert again is not None
    assert rows(broken) == kept
    assert train(again) is not None
    whole, mended = rows(unbroken), rows(broken)
    assert mended["metrics"] == whole["metrics"]
    assert mended["answers"] == whole["answers"]


@pytest.mark.parametrize("where", ["reward model", "agent"])
def test_losses_that_are_not_finite_pause_the_run(
    workplace: Workplace, strip: Build, where: str
) -> None:
    """Weights spoilt from outside, as an overflow would leave them."""
    records = start(workplace, strip())
    loops: list[TrainingLoop] = []

    def spoil(progress: Any) -> None:
        if progress.iteration == 3:
            module = loops[0].ensemble.networks[0] if where == "reward model" else loops[0].agent
            parameters = getattr(module, "policy", module).parameters()
            next(iter(parameters)).data[:] = np.nan

    loops.append(TrainingLoop(records, Control(), spoil))
    with pytest.raises(LearnerError) as raised:
        loops[0].run()
    assert raised.value.resumable
    latest = records.latest_checkpoint()
    assert latest is not None
    assert Checkpoint.from_bytes(latest.content).iteration == 3
    outcome = TrainingLoop(records, Control()).run()
    assert all(np.isfinite(value) for value in outcome.metrics.values())


# -- checkpoints of something else ------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": {"gamma": 0.5}}, r"another agent.gamma \(0.999, not 0.5\)"),
        ({"environment": {"num_envs": 5}}, r"another environment.num_envs \(4, not 5\)"),
        ({"environment": {"id": "LimitedStrip-v0"}}, "another environment.id"),
        ({"reward": {"members": 3}}, r"another reward.members \(2, not 3\)"),
        ({"segments": {"length": 6}}, r"another segments.length \(5, not 6\)"),
        ({"seed": 4}, r"another seed \(3, not 4\)"),
        (
            {"queries": {"schedule": {"scale": 7.0}}},
            r"another queries.schedule.scale \(5000000.0, not 7.0\)",
        ),
    ],
)
def test_a_checkpoint_of_another_config(
    workplace: Workplace, strip: Build, changes: dict[str, Any], message: str
) -> None:
    config = strip(total_steps=4 * 2 * 30)
    records = start(workplace, config)
    train(records)
    with workplace.database.write() as session:
        other = strip(**changes, total_steps=4 * 4 * 30)
        session.execute(update(Run).values(config=other, state=RunState.WAITING))
    again = workplace.lease("test", name=records.name)
    assert again is not None
    with pytest.raises(LearnerError, match=message) as raised:
        train(again)
    assert "\n" not in str(raised.value)
    assert not isinstance(raised.value, AssertionError)


def test_a_run_begun_on_another_device_rests_until_that_is_there(
    workplace: Workplace, strip: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = start(workplace, strip())
    begun = Compute("cuda", "float32", 1).as_dict()
    state = PPOAgent.state_dict
    monkeypatch.setattr(PPOAgent, "state_dict", lambda self: state(self) | {"compute": begun})

    def leave(progress: Any) -> None:
        raise Stopped("test")

    assert train(records, leave) is None
    again = workplace.lease("test", name=records.name)
    assert again is not None
    with pytest.raises(DeviceError, match="was begun on a CUDA device and there is none here"):
        train(again)
    with workplace.database.read() as session:
        run = session.get_one(Run, records.run_id)
        assert run.state == RunState.PAUSED
        assert "go on where there is one" in run.reason


def test_a_checkpoint_of_another_version(workplace: Workplace, strip: Build) -> None:
    import io

    import torch

    records = start(workplace, strip(total_steps=4 * 2 * 30))
    train(records)
    latest = records.latest_checkpoint()
    assert latest is not None
    values = torch.load(io.BytesIO(latest.content), weights_only=True)
    buffer = io.BytesIO()
    torch.save({**values, "format": FORMAT + 1}, buffer)
    with pytest.raises(CheckpointError, match=f"has format {FORMAT + 1}, this version reads"):
        Checkpoint.from_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="damaged; restore"):
        Checkpoint.from_bytes(latest.content[:-1000])
    del values["steps"]
    buffer = io.BytesIO()
    torch.save(values, buffer)
    with pytest.raises(CheckpointError, match="damaged; restore"):
        Checkpoint.from_bytes(buffer.getvalue())

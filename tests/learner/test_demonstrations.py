"""Demonstrations: the files, and what a run makes of them (Ibarz et al. 2018)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sqlalchemy import select

from learner.agents.cloning import DemonstrationError
from learner.config import ConfigError, RunConfig, parse_config
from learner.control import Control, Stopped
from learner.demonstrating import demonstrate
from learner.demonstrations import ChangedDemonstrations, load, read, write
from learner.envs.registry import make
from learner.loop import TrainingLoop
from learner.records import RunRecords, Workplace
from learner.replay import verify
from learner.trajectories import Trajectory
from server.models import Metric, Preference, Query, RewardModel, Segment, Teacher, TeacherKind
from server.models import Trajectory as TrajectoryRow
from server.rankings import RankedTrajectory, Ranking

Build = Callable[..., dict[str, Any]]

CARTPOLE: dict[str, Any] = {
    "environment": {"id": "CartPole-v1", "num_envs": 4, "num_levels": 200},
    "agent": {"network": "mlp", "hidden": [16], "n_steps": 60, "batch_size": 60, "n_epochs": 1},
    "reward": {"network": "mlp", "hidden": [16], "initial_epochs": 2, "epochs": 1, "members": 2},
    "queries": {"budget": 16, "initial": 6, "candidates": 3},
    "segments": {"length": 8},
    "total_steps": 4 * 4 * 60,
}


class Balancing:
    """Pushes the cart to where the pole falls: a good player of CartPole."""

    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        return (observations[:, 2] + 0.5 * observations[:, 3] > 0).astype(np.int64)


class Chance:
    """Plays at random."""

    def __init__(self, actions: int) -> None:
        self.actions = actions

    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        return rng.integers(self.actions, size=len(observations))


class Unrepeatable(gymnasium.Env[Any, Any]):
    """Draws its states from a generator of its own, so no recipe brings them back."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(2)
    chance = np.random.default_rng(0)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.steps = 0
        return self.chance.uniform(-1, 1, 3).astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        seen = self.chance.uniform(-1, 1, 3).astype(np.float32)
        return seen, float(action), self.steps == 30, False, {}

    def render(self) -> NDArray[np.uint8]:
        return np.full((32, 32, 3), self.steps, np.uint8)


gymnasium.register("Unrepeatable-v0", Unrepeatable)


@pytest.fixture(scope="module")
def balanced() -> list[Trajectory]:
    """Three good episodes of CartPole, cut short so that tests are."""
    config = parse_config(
        {**CARTPOLE, "environment": {"id": "CartPole-v1", "options": {"max_episode_steps": 60}}}
    )
    short = demonstrate(Balancing(), config, 3, policy_step=5)
    environment = parse_config(CARTPOLE).environment.model_dump(mode="json")
    ends = np.zeros(60, np.bool_)  # where the run's own limit is not reached, nothing ends
    return [replace(one, environment=environment, ends=ends) for one in short]


@pytest.fixture
def folder(tmp_path: Path, balanced: list[Trajectory]) -> Path:
    write(tmp_path / "demos", balanced)
    return tmp_path / "demos"


@pytest.fixture
def cartpole(tiny: Build, folder: Path) -> Build:
    """Configs of small CartPole runs that start from demonstrations."""

    def build(**changes: Any) -> dict[str, Any]:
        demonstrations = {"path": str(folder), "clone_epochs": 20}
        sections = {**CARTPOLE, "demonstrations": demonstrations}
        for key, change in changes.items():
            old = sections.get(key)
            both = isinstance(change, dict) and isinstance(old, dict)
            sections[key] = {**old, **change} if both else change
        return tiny(**sections)

    return build


def loaded(values: dict[str, Any]) -> Any:
    config = RunConfig.model_validate(values)
    environments = make(config.environment, num_envs=1, seed=0)
    try:
        return load(config, environments)
    finally:
        environments.close()


def start(workplace: Workplace, config: dict[str, Any]) -> RunRecords:
    records = workplace.lease("test", name=workplace.create_run(config))
    assert records is not None
    return records


def train(workplace: Workplace, config: dict[str, Any]) -> TrainingLoop:
    loop = TrainingLoop(start(workplace, config), Control())
    loop.run()
    return loop


# -- files ------------------------------------------------------------------------------------


def test_what_is_written_comes_back_in_order(folder: Path, balanced: list[Trajectory]) -> None:
    back = [trajectory for _, trajectory in read(folder)]
    assert [one.episode for one in back] == [one.episode for one in balanced]
    for one, other in zip(back, balanced, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        assert one.start_state == other.start_state


@pytest.mark.parametrize("name", ["procgen/fruitbot", "CartPole-v1"])
def test_an_agent_plays_whole_episodes_on_training_levels(name: str) -> None:
    config = parse_config({"environment": {"id": name, "num_levels": 3, "start_level": 7}})
    actions = 15 if name.startswith("procgen") else 2
    played = demonstrate(Chance(actions), config, 2, policy_step=9)
    for one in played:
        assert one.ends[-1]
        assert not one.ends[:-1].any()
        assert one.policy_step == 9
        assert one.level in ({7, 8, 9} if name.startswith("procgen") else {-1})
        verify(one)
    assert played[0].digest != played[1].digest
    again = demonstrate(Chance(actions), config, 2, policy_step=9)
    assert [one.digest for one in again] == [one.digest for one in played]


def test_demonstrations_are_never_mixed_by_mistake(
    folder: Path, balanced: list[Trajectory]
) -> None:
    with pytest.raises(DemonstrationError, match="holds demonstrations already"):
        write(folder, balanced)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], "is no demonstration, or it is cut short"),
        (lambda _: b"something else", "is no demonstration, or it is cut short"),
        (lambda content: _altered(content, rewards=np.ones(60)), "does not play again"),
        (lambda content: _altered(content, digest="0" * 64), "does not play again"),
        (lambda content: _altered(content, start_state=None), "neither a start state nor"),
        (
            lambda content: _elsewhere(content, frame_stack=2),
            r"environment\.frame_stack=2, the run has 1",
        ),
        (
            lambda content: _elsewhere(content, id="Acrobot-v1"),
            r"environment\.id=Acrobot-v1, the run has CartPole-v1",
        ),
        (
            lambda content: _altered(
                content,
                start_state=None,
                observations=np.zeros((60, 5), np.float32),
                digest=_digest(np.zeros((60, 5), np.float32)),
            ),
            r"observations \(5,\) of float32, the environment's are \(4,\)",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    folder: Path, cartpole: Build, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = folder / "demonstration-0001.npz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DemonstrationError, match=message) as refused:
        loaded(cartpole())
    assert "demonstration-0001.npz" in str(refused.value)
    assert "\n" not in str(refused.value)


def _altered(content: bytes, **changes: Any) -> bytes:
    if "rewards" in changes:
        changes["rewards"] = 2 * changes["rewards"].astype(np.float32)
    return replace(Trajectory.from_bytes(content), **changes).to_bytes()


def _elsewhere(content: bytes, **changes: Any) -> bytes:
    trajectory = Trajectory.from_bytes(content)
    return replace(trajectory, environment={**trajectory.environment, **changes}).to_bytes()


def _digest(observations: NDArray[Any]) -> str:
    from learner.trajectories import digest

    return digest(observations)


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path, cartpole: Build) -> None:
    with pytest.raises(DemonstrationError, match="clipwise demonstrate RUN"):
        loaded(cartpole(demonstrations={"path": str(tmp_path / "nothing")}))


def test_demonstrations_of_other_levels_may_be_used(folder: Path, cartpole: Build) -> None:
    for path, trajectory in list(read(folder)):
        levels = {**trajectory.environment, "num_levels": 3, "start_level": 50, "num_envs": 1}
        path.write_bytes(replace(trajectory, environment=levels).to_bytes())
    assert len(loaded(cartpole()).to_clone()) == 3


def test_a_demonstration_of_a_level_that_the_run_is_scored_on_is_refused(
    tmp_path: Path, tiny: Build
) -> None:
    played = parse_config(
        {"environment": {"id": "procgen/fruitbot", "num_levels": 3, "start_level": 500}}
    )
    shown = demonstrate(Chance(15), played, 1, policy_step=0)
    (path,) = write(tmp_path / "demos", shown)
    demonstrations = {"path": str(path.parent), "clone_epochs": 1}
    level = shown[0].level
    tested = tiny(demonstrations=demonstrations, evaluation={"test_start_level": level})
    with pytest.raises(DemonstrationError, match=rf"{path} was played on level {level}, and"):
        loaded(tested)
    beside = tiny(demonstrations=demonstrations, evaluation={"test_start_level": level + 1})
    assert len(loaded(beside).to_clone()) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"autolabels": True}, "needs demonstrations.path"),
        ({"initial_share": 0.5}, "needs demonstrations.path"),
        ({"path": "x", "clone_epochs": 0}, "nothing uses them"),
    ],
)
def test_a_config_without_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"demonstrations": changes})


# -- windows ----------------------------------------------------------------------------------


def test_windows_are_drawn_uniformly_and_show_what_they_name(
    balanced: list[Trajectory], tmp_path: Path, cartpole: Build
) -> None:
    write(tmp_path / "other", [_cut(balanced[0], 20), balanced[1]])
    demonstrations = loaded(cartpole(demonstrations={"path": str(tmp_path / "other")}))
    rng = np.random.default_rng(0)
    drawn = [demonstrations.draw(rng) for _ in range(400)]
    for segment, seen in drawn[:20]:
        verify(segment.trajectory)
        assert segment.length == len(seen) == 8
        from learner.replay import replay

        np.testing.assert_array_equal(replay(segment.trajectory).observations[segment.window], seen)
    names = Counter(segment.trajectory.episode for segment, _ in drawn)
    assert names.keys() == {"demonstration-0-0", "demonstration-1-0"}
    # 20 of 80 steps are the first's; the binomial's 5 standard deviations are 43 of 400.
    assert abs(names["demonstration-0-0"] - 100) < 43
    assert len({float(seen.sum()) for _, seen in drawn}) > 40  # of 13 + 53 windows


def _cut(trajectory: Trajectory, steps: int) -> Trajectory:
    from learner.replay import replay

    seen = replay(trajectory).observations[:steps]
    return replace(
        trajectory,
        actions=trajectory.actions[:steps],
        rewards=trajectory.rewards[:steps],
        ends=trajectory.ends[:steps],
        digest=_digest(seen),
    )


def test_demonstrations_shorter_than_a_segment_are_refused_when_shown(
    tmp_path: Path, balanced: list[Trajectory], cartpole: Build
) -> None:
    write(tmp_path / "short", [_cut(balanced[0], 5)])
    demonstrations = loaded(cartpole(demonstrations={"path": str(tmp_path / "short")}))
    with pytest.raises(DemonstrationError, match="no demonstration holds a whole segment of 8"):
        demonstrations.draw(np.random.default_rng(0))


def test_what_cannot_be_restored_is_shown_from_its_frames(tmp_path: Path, tiny: Build) -> None:
    sections = {**CARTPOLE, "environment": {"id": "Unrepeatable-v0", "num_envs": 4}}
    config = RunConfig.model_validate(tiny(**sections))
    write(tmp_path / "demos", demonstrate(Chance(2), config, 2, policy_step=0))
    shown = {"path": str(tmp_path / "demos"), "initial_share": 0.5}
    people = tiny(**sections, demonstrations=shown, teacher={"kind": "person"})
    segment, seen = loaded(people).draw(np.random.default_rng(1))
    assert segment.trajectory.frames is not None
    assert len(segment.trajectory.frames) == segment.trajectory.steps == len(seen) == 8
    for path, trajectory in list(read(tmp_path / "demos")):
        path.write_bytes(replace(trajectory, frames=None).to_bytes())
    with pytest.raises(DemonstrationError, match="holds no pictures"):
        loaded(people)


# -- a run ------------------------------------------------------------------------------------


def test_the_policy_starts_from_the_demonstrations(workplace: Workplace, cartpole: Build) -> None:
    """Ibarz 2018, algorithm 1: pretrained before the first rollout, so first pairs are its own."""
    loop = TrainingLoop(start(workplace, cartpole()), Control())
    demonstrations = loop.demonstrations
    assert demonstrations is not None
    chances = []

    def chance() -> float:
        one = demonstrations.to_clone()[0]
        actions, _, _ = loop.agent.policy(torch.from_numpy(one.observations), deterministic=True)
        return float((actions.numpy() == one.actions).mean())

    collect = loop.agent.collect

    def watched(*args: Any, **kwargs: Any) -> Any:
        chances.append(chance())
        return collect(*args, **kwargs)

    before = chance()
    loop.agent.collect = watched  # type: ignore[method-assign]
    figures = loop.iterate()
    loop.environments.close()
    assert before < 0.8 < 0.85 < chances[0]
    assert figures["cloning/loss_train"] < np.log(2)
    with workplace.database.read() as session:
        steps = session.scalars(select(Metric.step).where(Metric.name == "cloning/epochs")).all()
    assert steps == [240]


def pairs(workplace: Workplace) -> list[Any]:
    """Stored pairs with whose segments they show, who answered, and what."""
    first, second = Segment.__table__.alias(), Segment.__table__.alias()
    a, b = TrajectoryRow.__table__.alias(), TrajectoryRow.__table__.alias()
    with workplace.database.read() as session:
        return list(
            session.execute(
                select(
                    Teacher.kind,
                    Preference.answer,
                    a.c.episode,
                    b.c.episode,
                    Query.selection,
                    Query.iteration,
                    Query.segment_a_id,
                    Query.segment_b_id,
                    a.c.artifact,
                    b.c.artifact,
                )
                .join(Query, Query.id == Preference.query_id)
                .join(Teacher, Teacher.id == Preference.teacher_id)
                .join(first, first.c.id == Query.segment_a_id)
                .join(second, second.c.id == Query.segment_b_id)
                .join(a, a.c.id == first.c.trajectory_id)
                .join(b, b.c.id == second.c.trajectory_id)
                .where(Query.trial_id.is_(None))
                .order_by(Preference.id)
            )
        )


def test_a_demonstration_is_preferred_to_every_clip_of_the_first_pairs(
    workplace: Workplace, cartpole: Build
) -> None:
    """k pairs give 2 k more (Ibarz 2018, A.2); they are nobody's labels of the budget."""
    loop = train(workplace, cartpole(demonstrations={"autolabels": True}))
    rows = pairs(workplace)
    asked = [row for row in rows if row[0] is TeacherKind.SYNTHETIC]
    automatic = [row for row in rows if row[0] is TeacherKind.DEMONSTRATION]
    assert len(asked) == 16 == loop.records.queue().total_labels == loop.asking.asked
    first = [row for row in asked if row[5] == 1]
    clips = [clip for row in first for clip in row[6:8]]
    assert len(automatic) == 2 * len(first) > 0
    assert [row[7] for row in automatic] == clips  # the same segments, stored once
    for row in automatic:
        assert row[1].value == "a"
        assert row[2].startswith("demonstration-")
        assert not row[3].startswith("demonstration-")
        assert row[5] == 1
    with workplace.database.read() as session:
        fitted = session.scalars(select(RewardModel).order_by(RewardModel.version)).first()
        kinds = session.scalars(select(Teacher.kind).order_by(Teacher.id)).all()
    assert fitted is not None
    assert fitted.preferences == 3 * len(first)
    assert kinds == [TeacherKind.SYNTHETIC, TeacherKind.DEMONSTRATION]


def test_a_share_of_the_first_pairs_shows_a_demonstration(
    workplace: Workplace, cartpole: Build
) -> None:
    train(workplace, cartpole(demonstrations={"initial_share": 0.5, "autolabels": True}))
    rows = pairs(workplace)
    asked = [row for row in rows if row[0] is TeacherKind.SYNTHETIC and row[5] == 1]
    beside = [row for row in asked if row[4]["strategy"] == "demonstration"]
    assert len(beside) == round(0.5 * len(asked))
    assert all(row[3].startswith("demonstration-") for row in beside)
    later = [row for row in rows if row[5] > 1]
    assert later
    assert not any(str(name).startswith("demonstration") for row in later for name in row[2:4])
    # A demonstration is not preferred to another one.
    automatic = [row for row in rows if row[0] is TeacherKind.DEMONSTRATION]
    assert len(automatic) == 2 * len(asked) - len(beside)


def test_a_run_left_anywhere_ends_as_an_unbroken_one(
    make_workplace: Callable[[str], Workplace], cartpole: Build
) -> None:
    """Also before the first version, when demonstrations are still to be shown."""
    config = cartpole(
        demonstrations={"initial_share": 0.3, "autolabels": True, "clone_epochs": 3},
        reward={"pseudo_label_threshold": 0.51},
    )
    unbroken, broken = make_workplace("unbroken"), make_workplace("broken")
    train(unbroken, config)
    records = start(broken, config)
    for leave_at in (1, 30, 95, 70, 40):
        with pytest.raises(Stopped):
            TrainingLoop(records, leaving(leave_at)).run()
    TrainingLoop(records, Control()).run()
    assert pairs(broken) == pairs(unbroken)
    assert figures(broken) == figures(unbroken)


def test_a_run_goes_on_only_with_the_demonstrations_it_was_begun_with(
    workplace: Workplace, cartpole: Build, folder: Path
) -> None:
    """Before the first fit they are read again; other ones would give other pairs unnoticed."""
    config = cartpole(
        teacher={"kind": "person"},
        demonstrations={"initial_share": 0.5},
        queries={"min_preferences": 4},
    )
    records = start(workplace, config)
    loop = TrainingLoop(records, Control())
    loop.iterate()
    loop.environments.close()
    (first, *_) = sorted(folder.glob("*.npz"))
    kept = first.read_bytes()
    first.unlink()
    with pytest.raises(ChangedDemonstrations, match="have changed since the run began") as raised:
        TrainingLoop(records, Control())
    assert raised.value.resumable
    first.write_bytes(kept)
    TrainingLoop(records, Control()).environments.close()


def leaving(pulses: int) -> Control:
    """A control that stops the run after so many pulses."""
    control = Control()
    left: Iterator[int] = iter(range(pulses))

    def pulse() -> None:
        if next(left, None) is None:
            control.stop("test")
        Control.pulse(control)

    control.pulse = pulse  # type: ignore[method-assign]
    return control


def figures(workplace: Workplace) -> list[Any]:
    with workplace.database.read() as session:
        columns = (Metric.name, Metric.step, Metric.value)
        wanted = (
            select(*columns)
            .where(Metric.name.not_like("time/%"), Metric.name.not_like("system/%"))
            .order_by(*columns[:2])
        )
        return [tuple(row) for row in session.execute(wanted)]


def test_without_a_path_nothing_is_read_and_nothing_changes(
    make_workplace: Callable[[str], Workplace], cartpole: Build, tiny: Build
) -> None:
    """The windows and pairs of a run do not shift when demonstrations are shown as well."""
    without, with_labels = make_workplace("without"), make_workplace("with")
    padded = {"length": 8, "at_episode_end": "pad"}  # else all pairs of CartPole are ties
    loop = train(without, tiny(**{**CARTPOLE, "segments": padded}))
    assert loop.demonstrations is None
    shown = {"autolabels": True, "clone_epochs": 0}
    train(with_labels, cartpole(segments=padded, demonstrations=shown))
    plain, labelled = (
        [row for row in pairs(one) if row[5] == 1 and row[0] is TeacherKind.SYNTHETIC]
        for one in (without, with_labels)
    )
    assert [row[8:] for row in plain] == [row[8:] for row in labelled]


class Impatient(Control):
    """Is there for nobody who waits."""

    def wait_until(self, condition: Callable[[], bool], *, seconds: float) -> None:
        raise AssertionError(f"waits: {self.activity}")


def test_people_need_not_answer_before_a_ranking_is_learned_from(
    workplace: Workplace, cartpole: Build, balanced: list[Trajectory], tmp_path: Path
) -> None:
    better = [replace(one, policy_step=step) for step, one in enumerate(balanced)]
    write(tmp_path / "ranked", better)
    ranked = {"path": str(tmp_path / "ranked"), "ranking": "training_time", "ranking_pairs": 10}
    config = cartpole(teacher={"kind": "person"}, demonstrations=ranked)
    loop = TrainingLoop(start(workplace, config), Impatient())
    outcome = loop.run()
    assert outcome.labels == 0
    assert loop.asking.asked
    assert loop.version


def test_ranked_demonstrations_give_preferences_that_the_run_is_trained_on(
    workplace: Workplace,
    cartpole: Build,
    balanced: list[Trajectory],
    tmp_path: Path,
    stored: Callable[[Workplace], dict[str, list[Any]]],
) -> None:
    """T-REX in the ordinary loop: one ranking row, its preferences, a model before any label."""
    scores = (1.0, 3.0, 2.0)
    paid = [
        replace(one, rewards=one.rewards * 0 + score, policy_step=step)
        for one, score, step in zip(balanced, scores, (30, 20, 10), strict=True)
    ]
    write(tmp_path / "ranked", balanced)
    by_time = {"path": str(tmp_path / "ranked"), "ranking": "training_time", "ranking_pairs": 30}
    for path, one in zip(sorted((tmp_path / "ranked").iterdir()), paid, strict=True):
        path.write_bytes(replace(one, rewards=balanced[0].rewards).to_bytes())
    loop = train(workplace, cartpole(demonstrations=by_time))
    rows = [row for row in pairs(workplace) if row[0] is TeacherKind.RANKING]
    assert len(rows) == 30
    order = {"demonstration-0": 2, "demonstration-1": 1, "demonstration-2": 0}
    for row in rows:
        first, second = (order[row[at].rsplit("-", 1)[0]] for at in (2, 3))
        assert row[1].value == ("a" if first > second else "b")
        assert row[4] == {"strategy": "ranking"}
    with workplace.database.read() as session:
        (ranking,) = session.scalars(select(Ranking)).all()
        places = session.scalars(
            select(RankedTrajectory.place).order_by(RankedTrajectory.trajectory_id)
        ).all()
        fitted = session.scalars(select(RewardModel).order_by(RewardModel.version)).first()
    assert (ranking.kind.value, ranking.preferences) == ("training_time", 30)
    assert places == [0, 1, 2]
    assert fitted is not None
    assert fitted.preferences >= 30
    assert loop.records.queue().total_labels == 16  # a ranking's are nobody's labels of the budget
    curves = stored(workplace)["metrics"]
    totals = [value for name, _, value in curves if name == "preferences/total"]
    assert totals == sorted(totals)
    assert totals[-1] == 16

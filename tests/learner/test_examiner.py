"""What is asked about a real run is found out by a process beside its worker."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from learner.config import parse_config
from learner.control import Control
from learner.examiner import Examiner, examining
from learner.loop import TrainingLoop
from learner.records import Aspect, Settings, Workplace
from learner.replay import replay
from learner.rewards.ensemble import win_probability
from learner.rewards.packing import pack, unpack
from learner.saliency import METHODS
from learner.trajectories import Trajectory
from server.database import migrate
from server.inspections import Inspection, Method
from server.models import Segment
from server.models import Trajectory as Row
from server.store import inspections, versions
from server.store.inspections import Wanted

CONFIG: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "total_steps": 2 * 8 * 40,
    "threads": 1,
    "precision": "float32",
    "environment": {"id": "procgen/fruitbot", "num_envs": 8, "num_levels": 20},
    "agent": {"n_steps": 40, "batch_size": 160, "n_epochs": 1},
    "segments": {"length": 10},
    "reward": {"initial_epochs": 1, "epochs": 1, "batch_size": 4},
    "queries": {"budget": 8, "initial": 6, "candidates": 3, "min_preferences": 1},
    "teacher": {"kind": "synthetic"},
    "evaluation": {"episodes": 1, "interim_episodes": 1, "every": 2, "video_seconds": 2},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny run that came to its end, trained once for all tests."""
    settings = Settings(var=tmp_path_factory.mktemp("finished"))
    migrate(settings.database_url)
    workplace = Workplace(settings)
    values = parse_config(CONFIG).model_dump(mode="json")
    records = workplace.lease("test", name=workplace.create_run(values))
    assert records is not None
    TrainingLoop(records, Control()).run()
    records.release()
    workplace.close()
    return settings.var


@pytest.fixture
def trained(finished: Path, tmp_path: Path) -> Iterator[Workplace]:
    """A copy of that run."""
    shutil.copytree(finished, tmp_path / "var")
    workplace = Workplace(Settings(var=tmp_path / "var"))
    yield workplace
    workplace.close()


def ask(workplace: Workplace, *wanted: Wanted) -> list[int]:
    with workplace.database.write() as s:
        return [inspections.ask(s, one, now=datetime.now(UTC)).id for one in wanted]


def found(workplace: Workplace, inspection_id: int) -> Inspection:
    with workplace.database.read() as s:
        return inspections.get(s, inspection_id=inspection_id)


def answer(workplace: Workplace, inspection_id: int) -> Any:
    row = found(workplace, inspection_id)
    assert row.result is not None, row.reason
    return json.loads(workplace.artifacts.get(row.result))


def newest(workplace: Workplace) -> tuple[Row, int]:
    """A trajectory, and the newest version of the reward model."""
    with workplace.database.read() as s:
        row = s.scalars(select(Row).order_by(Row.id.desc())).first()
    assert row is not None
    return row, workplace.reward_model("tiny")[0]


@pytest.mark.slow
def test_a_process_of_its_own_answers_and_ends_with_the_worker(trained: Workplace) -> None:
    row, version = newest(trained)
    asked = ask(
        trained,
        Wanted(row.run_id, Aspect.FILM, row.artifact),
        Wanted(row.run_id, Aspect.REWARDS, row.artifact, version),
    )
    with examining(trained):
        deadline = time.monotonic() + 120
        while not all(found(trained, one).done_at for one in asked):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    film, rewards = (found(trained, one) for one in asked)
    assert film.result is not None
    assert trained.artifacts.get(film.result)[4:8] == b"ftyp"
    trajectory = Trajectory.from_bytes(trained.artifacts.get(row.artifact))
    model = unpack(trained.reward_model("tiny")[1])
    members = model.members(replay(trajectory).observations, trajectory.actions)
    told = answer(trained, rewards.id)
    np.testing.assert_allclose(told["normalised"], members, rtol=1e-4, atol=1e-5)


def test_looking_again_goes_on_with_what_was_not_scored(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, version = newest(trained)
    (asked,) = ask(trained, Wanted(row.run_id, Aspect.SEGMENTS, version=version))
    seconds = iter(range(0, 10_000, 25))
    clock = SimpleNamespace(monotonic=lambda: next(seconds), time=time.time, sleep=time.sleep)
    monkeypatch.setattr("learner.examiner.time", clock)  # a minute is soon over
    examiner = Examiner(trained)
    assert examiner.examine_next()
    first = answer(trained, asked)
    assert 0 < len(first["segments"]) < first["of"]
    with trained.database.write() as s:
        inspections.ask_again(s, inspection_id=asked, going_on=True)
    monkeypatch.setattr("learner.examiner.time", time)
    assert examiner.examine_next()
    second = answer(trained, asked)
    assert second["segments"][: len(first["segments"])] == first["segments"]
    assert len(second["segments"]) == len({one["id"] for one in second["segments"]})
    assert len(second["segments"]) == second["of"]


def test_what_is_answered_in_between_takes_no_time_from_the_segments(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, version = newest(trained)
    (asked,) = ask(trained, Wanted(row.run_id, Aspect.SEGMENTS, version=version))
    examiner = Examiner(trained)
    monkeypatch.setattr(examiner, "_let_others_in", lambda _: 1000.0)
    ticks = iter(range(0, 1_000_000, 50))
    monkeypatch.setattr(
        "learner.examiner.time", SimpleNamespace(monotonic=lambda: next(ticks), time=time.time)
    )
    assert examiner.examine_next()
    found = answer(trained, asked)
    assert len(found["segments"]) == found["of"]


def test_all_segments_are_scored_and_what_is_lost_is_left_out(trained: Workplace) -> None:
    row, version = newest(trained)
    with trained.database.read() as s:
        segments = s.scalars(select(Segment).order_by(Segment.id.desc())).all()
        artifacts = dict(s.execute(select(Row.id, Row.artifact)).all())
    lost = artifacts[segments[0].trajectory_id]
    trained.artifacts.delete(lost)
    (asked,) = ask(trained, Wanted(row.run_id, Aspect.SEGMENTS, version=version))
    assert Examiner(trained).examine_next()
    told = answer(trained, asked)
    kept = [one for one in segments if artifacts[one.trajectory_id] != lost]
    assert told["of"] == len(segments)
    assert [one["id"] for one in told["segments"]] == [one.id for one in kept]
    first = told["segments"][0]
    trajectory = Trajectory.from_bytes(trained.artifacts.get(artifacts[kept[0].trajectory_id]))
    model = unpack(trained.reward_model("tiny")[1])
    steps = slice(kept[0].start, kept[0].start + kept[0].length)
    raw = model.raw(replay(trajectory).observations[steps], trajectory.actions[steps])
    np.testing.assert_allclose(first["returns"], raw.sum(axis=1), rtol=1e-3, atol=1e-4)
    assert win_probability(np.array(first["returns"])).shape == (model.config.members,)


def randomised(workplace: Workplace, run_id: int) -> int:
    """A version of the reward model with weights that nothing was fitted to."""
    model = unpack(workplace.reward_model("tiny")[1])
    model.reset(seed=99)
    with workplace.database.write() as s:
        return versions.add_reward_model(
            s,
            run_id=run_id,
            artifact=workplace.artifacts.put(pack(model)),
            iteration=9,
            steps=9,
            preferences=0,
            last_preference_id=None,
            metrics={},
            now=datetime.now(UTC),
        ).version


def test_saliency_is_found_within_two_seconds_and_depends_on_the_weights(
    trained: Workplace,
) -> None:
    assert set(Method) == set(METHODS)
    row, version = newest(trained)
    other = randomised(trained, row.run_id)
    examiner = Examiner(trained)
    both = [Wanted(row.run_id, Aspect.REWARDS, row.artifact, one) for one in (version, other)]
    ask(trained, *both)
    assert examiner.examine_next()
    assert examiner.examine_next()  # environment and models are at hand from now on
    for method in METHODS:
        frames = [
            Wanted(row.run_id, Aspect.SALIENCY, row.artifact, one, method, row.steps - 1)
            for one in (version, other)
        ]
        asked = ask(trained, *frames)
        for _ in asked:
            began = time.process_time()
            assert examiner.examine_next()
            assert time.process_time() - began < 2.0  # of one core, others being busy or not
        old, new = (np.array(answer(trained, one)["rows"]) for one in asked)
        assert old.shape == new.shape == (64, 64)
        assert np.abs(new).max() == 100
        assert not np.array_equal(old, new)


def test_what_cannot_be_found_out_says_why_and_the_next_is_answered(trained: Workplace) -> None:
    row, version = newest(trained)
    gone, late, unknown, steps = ask(
        trained,
        Wanted(row.run_id, Aspect.FILM, "f" * 64),
        Wanted(row.run_id, Aspect.SALIENCY, row.artifact, version, "gradient", row.steps),
        Wanted(row.run_id, Aspect.REWARDS, row.artifact, version + 1),
        Wanted(row.run_id, Aspect.STEPS, row.artifact),
    )
    examiner = Examiner(trained)
    assert [examiner.examine_next() for _ in range(5)] == [True] * 4 + [False]
    assert "is gone" in found(trained, gone).reason
    assert f"only {row.steps} steps" in found(trained, late).reason
    assert "no reward model" in found(trained, unknown).reason
    assert len(answer(trained, steps)["rewards"]) == row.steps

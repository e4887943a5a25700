"""Leases, and folders that fail: what a worker stores only while the run is its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from learner.control import Control
from learner.errors import Unwritable
from learner.loop import TrainingLoop
from learner.records import LeaseLost, RunRecords, RunState, Workplace
from learner.worker import train
from server.models import Checkpoint, Run

Build = Callable[..., dict[str, Any]]


def iterations(workplace: Workplace) -> list[int]:
    with workplace.database.read() as s:
        return list(s.scalars(select(Checkpoint.iteration).order_by(Checkpoint.iteration)))


def state_of(workplace: Workplace) -> tuple[RunState, str]:
    with workplace.database.read() as s:
        run = s.scalars(select(Run)).one()
        return run.state, run.reason


@pytest.mark.slow
def test_a_worker_that_lost_its_lease_changes_nothing(workplace: Workplace, tiny: Build) -> None:
    name = workplace.create_run(tiny())
    stale = workplace.lease("a", name=name)
    assert stale is not None
    with workplace.database.write() as s:  # it slept, and its lease ran out
        s.execute(update(Run).values(lease_expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    taken = workplace.lease("b", name=name)
    assert taken is not None
    outcome = TrainingLoop(taken, Control()).run()
    before = iterations(workplace)
    assert before[-1] > 1

    with pytest.raises(LeaseLost, match="another worker"):
        TrainingLoop(stale_view(stale), Control()).run()
    with pytest.raises(LeaseLost):
        stale.set_state(RunState.FAILED, "not mine any more")
    assert iterations(workplace) == before
    with workplace.database.read() as s:
        assert s.scalar(select(Run.steps)) == outcome.steps
        assert s.scalar(select(func.count()).select_from(Checkpoint)) == len(before)
    assert state_of(workplace)[0] is RunState.RUNNING


def stale_view(records: RunRecords) -> RunRecords:
    """The records of a worker that still believes itself at the beginning."""

    class Asleep(RunRecords):
        def latest_checkpoint(self) -> None:
            return None

    return Asleep(records.workplace, records.run_id, records.name, records.config, records.worker)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_pauses_the_run_until_it_can(
    workplace: Workplace, tiny: Build
) -> None:
    name = workplace.create_run(tiny())
    records = workplace.lease("test", name=name)
    assert records is not None
    runs = records.folder.parent
    runs.parent.mkdir(parents=True, exist_ok=True)
    runs.write_text("not a folder")
    with pytest.raises(Unwritable, match=r"cannot write to .*tensorboard: .*; free some space"):
        train(records)
    assert state_of(workplace)[0] is RunState.PAUSED
    assert "cannot write to" in state_of(workplace)[1]

    runs.unlink()
    again = workplace.lease("test", name=name)
    assert again is not None
    outcome = train(again)
    assert outcome is not None
    assert state_of(workplace)[0] is RunState.FINISHED
    assert (again.folder / "result.json").exists()


@pytest.mark.slow
def test_a_result_that_cannot_be_written_is_not_lost(workplace: Workplace, tiny: Build) -> None:
    name = workplace.create_run(tiny())
    records = workplace.lease("test", name=name)
    assert records is not None
    blocked = records.folder / "result.json"
    blocked.mkdir(parents=True)
    with pytest.raises(Unwritable):
        train(records)
    assert state_of(workplace)[0] is RunState.PAUSED
    blocked.rmdir()
    again = workplace.lease("test", name=name)
    assert again is not None
    assert train(again) is not None
    assert blocked.is_file()


@pytest.mark.slow
def test_the_last_agent_has_its_video_however_soon_the_run_ends(
    workplace: Workplace, tiny: Build
) -> None:
    records = workplace.lease("test", name=workplace.create_run(tiny(total_steps=640)))
    assert records is not None
    assert train(records) is not None
    with workplace.database.read() as s:
        last = s.scalars(select(Checkpoint).order_by(Checkpoint.iteration.desc())).first()
    assert last is not None
    assert last.kept
    assert workplace.artifacts.get(last.video)[4:8] == b"ftyp"

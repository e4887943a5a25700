from __future__ import annotations

import os
import shutil
import signal
import threading
import time

import psutil
import pytest

from learner.study.executors import run_tasks
from learner.study.folder import StudyFolder
from learner.study.plan import plan_tasks


def cells_to_do(study, folder):
    tasks = [task for task in plan_tasks(study) if task.stage == "reward models"]
    for task in tasks[:3]:
        task.marker(folder).unlink()
    return tasks[:3]


@pytest.fixture
def copied(finished, tmp_path):
    _, root, _ = finished
    shutil.copytree(root, tmp_path / "copy")
    return StudyFolder(tmp_path / "copy")


@pytest.mark.slow
def test_processes_give_what_one_process_gives(finished, copied, tiny):
    study = tiny(executor={"kind": "processes", "workers": 2})
    todo = cells_to_do(study, copied)
    outcomes = list(run_tasks(study, copied, todo, lambda _: None))
    assert {task.name: problem for task, problem in outcomes} == {task.name: None for task in todo}
    for task in todo:
        model = task.marker(copied).with_suffix(".npz").read_bytes()
        assert model == task.marker(StudyFolder(finished[1])).with_suffix(".npz").read_bytes()


@pytest.mark.slow
def test_a_task_whose_process_is_killed_is_reported_and_the_others_finish(copied, tiny):
    study = tiny(executor={"kind": "processes", "workers": 1}, experts={"total_steps": 2_000_000})
    slow = plan_tasks(study)[0]
    slow.marker(copied).unlink()
    shutil.rmtree(copied.experts(slow.game))
    cells = cells_to_do(study, copied)
    outcomes = run_tasks(study, copied, [slow, *cells[:1]], lambda _: None)
    with Killer():
        ended = dict(outcomes)
    assert "signal 9" in (ended[slow] or "")
    assert ended[cells[0]] is None
    assert copied.problem(slow.name).exists()


class Killer:
    """Kills the first task's process, once it has begun, while the outcomes are awaited."""

    def __enter__(self):
        def kill() -> None:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                for server in psutil.Process().children():
                    for child in server.children():
                        os.kill(child.pid, signal.SIGKILL)
                        return
                time.sleep(0.05)

        self._thread = threading.Thread(target=kill)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join()


@pytest.mark.slow
def test_a_local_ray_cluster_runs_cells(copied, tiny):
    pytest.importorskip("ray")
    study = tiny(executor={"kind": "ray", "workers": 1})
    todo = cells_to_do(study, copied)[:2]
    outcomes = dict(run_tasks(study, copied, todo, lambda _: None))
    assert outcomes == dict.fromkeys(todo)
    assert all(task.finished(copied) for task in todo)

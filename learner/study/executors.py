"""Where a study's tasks run: here one by one, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from learner.devices import keep_large_blocks
from learner.errors import LearnerError
from learner.study.config import AnyStudy, ExecutorConfig
from learner.study.folder import StudyError, StudyFolder, read_json, write_json
from learner.study.loading import parse_study
from learner.study.tasks import Task

Outcome = tuple[Task, str | None]
"""A task, and what kept it from finishing."""
Say = Callable[[str], None]


def run_tasks(
    study: AnyStudy, folder: StudyFolder, tasks: Sequence[Task], say: Say
) -> Iterator[Outcome]:
    """Run independent tasks; yields each as it ends. One that dies does not stop the others.

    Args:
        study: the configuration.
        folder: where everything lies; on a cluster, one that all machines share.
        tasks: with everything that they need finished.
        say: told of progress within tasks that run in this process.
    """
    values, root = study.model_dump(mode="json"), str(folder.root.resolve())
    if study.executor.kind == "inline":
        return _inline(values, root, tasks, say)
    if study.executor.kind == "ray":
        return _on_ray(study.executor, values, root, tasks)
    return _in_processes(study, values, root, tasks)


def worker_count(executor: ExecutorConfig) -> int:
    """Tasks at once on this machine."""
    return executor.workers or os.cpu_count() or 1


def _inline(
    values: dict[str, Any], root: str, tasks: Sequence[Task], say: Say
) -> Iterator[Outcome]:
    for task in tasks:
        yield task, attempt(values, root, task, partial(_prefixed, say, task.name))


def _prefixed(say: Say, name: str, line: str) -> None:
    say(f"{name}: {line}")


def _in_processes(
    study: AnyStudy, values: dict[str, Any], root: str, tasks: Sequence[Task]
) -> Iterator[Outcome]:
    """One process per task, forked from a server that has loaded everything once."""
    workers = worker_count(study.executor)
    values = {**values, "threads": study.threads or max(1, (os.cpu_count() or 1) // workers)}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    waiting = list(reversed(tasks))
    running: dict[int, tuple[Task, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                task = waiting.pop()
                child = context.Process(target=_child, args=(values, root, task))
                child.start()
                running[child.sentinel] = (task, child)
            for sentinel in multiprocessing.connection.wait(list(running)):
                assert isinstance(sentinel, int)
                task, child = running.pop(sentinel)
                child.join()
                yield task, _problem(StudyFolder(Path(root)), task, child.exitcode)
    finally:
        for _, child in running.values():
            child.terminate()
        for _, child in running.values():
            child.join()


def _child(values: dict[str, Any], root: str, task: Task) -> None:
    """A task's own process; whatever it writes to standard error goes into its log."""
    torch.set_num_threads(values["threads"])
    keep_large_blocks()
    log = StudyFolder(Path(root)).log(task.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
        if attempt(values, root, task, partial(_prefixed, _print, task.name)) is None:
            log.unlink()
            return
    log.unlink()
    sys.exit(1)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _problem(folder: StudyFolder, task: Task, status: int | None) -> str | None:
    """What became of a task's process."""
    if status == 0:
        return None
    path, log = folder.problem(task.name), folder.log(task.name)
    if not log.exists() and path.exists():
        return str(read_json(path)["problem"])
    lines = log.read_text().strip().splitlines() if log.exists() else []
    cause = lines[-1] if lines else f"its process ended with status {status}"
    if status is not None and status < 0:
        cause = f"its process was killed by signal {-status}"
    write_json(path, {"task": task.name, "problem": cause, "log": str(log)})
    return cause


def _on_ray(
    executor: ExecutorConfig, values: dict[str, Any], root: str, tasks: Sequence[Task]
) -> Iterator[Outcome]:
    """The same function on a cluster; Ray starts a dead worker again for the next task."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise StudyError(
            "Ray is not installed: pip install 'clipwise[ray]', or set executor.kind=processes"
        ) from error
    own = not ray.is_initialized()
    if own:
        count = None if executor.address else executor.workers
        ray.init(address=executor.address, num_cpus=count, log_to_driver=False, logging_level=40)
    remote = ray.remote(num_cpus=1, max_retries=0)(_on_worker)
    try:
        sent = {remote.remote(values, root, task): task for task in tasks}
        left = list(sent)
        while left:
            (done,), left = ray.wait(left, num_returns=1)
            task = sent[done]
            try:
                yield task, ray.get(done)
            except (ray.exceptions.RayError, ray.exceptions.RayTaskError) as error:
                cause = str(error).strip().splitlines()[-1]
                write_json(
                    StudyFolder(Path(root)).problem(task.name),
                    {"task": task.name, "problem": cause, "log": traceback.format_exc()},
                )
                yield task, cause
    finally:
        if own:
            ray.shutdown()


def _on_worker(values: dict[str, Any], root: str, task: Task) -> str | None:
    """A task on a worker of a cluster."""
    torch.set_num_threads(values["threads"] or 1)
    return attempt(values, root, task, lambda _: None)


def attempt(
    values: dict[str, Any], root: str, task: Task, say: Callable[[str], None]
) -> str | None:
    """Do a task wherever it was sent; what kept it from finishing, or None."""
    study, folder = parse_study(values), StudyFolder(Path(root))
    try:
        task.perform(study, folder, say)
    except LearnerError as error:
        write_json(folder.problem(task.name), {"task": task.name, "problem": str(error)})
        return str(error)
    folder.problem(task.name).unlink(missing_ok=True)
    return None

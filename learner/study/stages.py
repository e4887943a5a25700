"""A study from its configuration to its report: stages of tasks, each done once.

    clipwise study experiments/study-smoke.yaml

Killed at any moment and started again, it goes on from what is finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from learner.study.config import AnyStudy
from learner.study.executors import run_tasks
from learner.study.folder import StudyError, StudyFolder, write_checksums, write_json
from learner.study.kinds import Collected, kind_of
from learner.study.loading import parse_study
from learner.study.tasks import Task
from learner.yaml_file import ConfigError


def run_study(
    study: AnyStudy, root: Path, say: Callable[[str], None], only: Collection[str] = ()
) -> Collected:
    """Run what is not finished, then write the report, results.json and checksums.

    Args, errors and what is returned as of `run_stages`.
    """
    results = run_stages(study, root, say, only)
    write_json(root / "results.json", results.as_dict())
    kind_of(study).report(results, StudyFolder(root))
    write_checksums(root)
    return results


def run_stages(
    study: AnyStudy, root: Path, say: Callable[[str], None], only: Collection[str] = ()
) -> Collected:
    """Run what is not finished; a task that fails is reported and the rest goes on.

    Args:
        study: the configuration.
        root: the study's folder.
        say: told, in lines, how it goes.
        only: stages that are run; what they need must be finished. None named = all.

    Returns:
        What the study's kind collects.

    Raises:
        StudyError: the folder holds another study, or there is no such stage.
    """
    kind, folder = kind_of(study), StudyFolder(root)
    unknown = sorted(set(only) - set(kind.stages))
    if unknown:
        raise StudyError(f"there is no stage '{unknown[0]}'; it has {', '.join(kind.stages)}")
    folder.claim(_plain(study), _completed)
    tasks = kind.plan(study)
    problems: dict[str, str] = {}
    for stage in kind.stages:
        if only and stage not in only:
            continue
        own = [task for task in tasks if task.stage == stage]
        left = [task for task in own if not task.finished(folder)]
        say(f"{stage}: {len(own) - len(left)} of {len(own)} finished")
        ready = _ready(left, tasks, folder, problems, say)
        _run(study, folder, ready, problems, say)
    return kind.collect(study, folder, tasks, problems)


def _plain(study: AnyStudy) -> dict[str, Any]:
    """What makes a study this one and no other; where it runs does not."""
    return study.model_dump(mode="json", exclude={"executor", "threads"})


def _completed(kept: Any) -> dict[str, Any]:
    """A configuration kept before a key was added has that key's default."""
    try:
        return _plain(parse_study(kept))
    except (ValidationError, ConfigError):
        return dict(kept)  # `claim` names what differs


def _ready(
    left: Sequence[Task],
    tasks: Sequence[Task],
    folder: StudyFolder,
    problems: dict[str, str],
    say: Callable[[str], None],
) -> list[Task]:
    """Tasks whose needs are met; the others are problems."""
    known = {task.name: task for task in tasks}
    ready = []
    for task in left:
        lacking = [name for name in task.needs if not known[name].finished(folder)]
        if lacking:
            problems[task.name] = f"{lacking[0]} did not finish"
            say(f"{task.name}: left out, {problems[task.name]}")
        else:
            ready.append(task)
    return ready


def _run(
    study: AnyStudy,
    folder: StudyFolder,
    ready: list[Task],
    problems: dict[str, str],
    say: Callable[[str], None],
) -> None:
    """Run the tasks of a stage and tell of each."""
    if not ready:
        return
    started = time.monotonic()
    for number, (task, problem) in enumerate(run_tasks(study, folder, ready, say), 1):
        if problem is not None:
            problems[task.name] = problem
        outcome = "finished" if problem is None else f"failed: {problem}"
        elapsed = time.monotonic() - started
        say(f"[{number}/{len(ready)}, {elapsed:.0f} s] {task.name}: {outcome}")

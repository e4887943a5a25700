"""Tasks: the pieces of a study that are finished or not, each with a name and a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from learner.errors import LearnerError
from learner.study.agents import AgentTask, agent_tasks, train_agent
from learner.study.bank import make_bank
from learner.study.cells import Cell, cells, fit_cell, judge_baselines
from learner.study.config import StudyConfig
from learner.study.experts import train_expert
from learner.study.folder import StudyFolder, game_slug, write_json
from learner.study.gallery import make_gallery
from learner.study.recording import Split, record_split

Stage = Literal["experts", "demonstrations", "galleries", "baselines", "reward models", "agents"]
STAGES: tuple[Stage, ...] = get_args(Stage)
_SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Task:
    """A piece of a study.

    Attributes:
        name: of its problem file, and what people are told.
        stage: where it belongs.
        game: of which it is.
        needs: tasks that must be finished before it.
        work: what distinguishes it from others of its stage.
    """

    name: str
    stage: Stage
    game: str
    needs: tuple[str, ...] = ()
    work: Split | Cell | AgentTask | None = None

    def marker(self, folder: StudyFolder) -> Path:
        """The file whose presence says that it is finished."""
        if isinstance(self.work, Cell):
            return folder.cell(self.work.name)
        if isinstance(self.work, AgentTask):
            return folder.agent(self.work.name)
        if self.stage == "experts":
            return folder.experts(self.game) / "finished"
        if self.stage == "galleries":
            return folder.gallery(self.game)
        if self.work is None:
            return folder.cell(f"{game_slug(self.game)}-baselines")
        return folder.bank(self.game, self.work) / "facts.json"

    def finished(self, folder: StudyFolder) -> bool:
        """Whether it never needs to run again."""
        return self.marker(folder).exists()


def plan_tasks(study: StudyConfig) -> list[Task]:
    """Every task of a study, in an order in which they can run."""
    tasks: list[Task] = []
    for game in study.games:
        slug = game_slug(game)
        expert = Task(f"expert-{slug}", "experts", game)
        tasks.append(expert)
        for split in _SPLITS:
            name = f"demonstrations-{slug}-{split}"
            tasks.append(Task(name, "demonstrations", game, (expert.name,), split))
        test = f"demonstrations-{slug}-test"
        tasks.append(Task(f"baselines-{slug}", "baselines", game, (test,)))
        if study.gallery:
            tasks.append(Task(f"gallery-{slug}", "galleries", game, (test,)))
    for cell in cells(study):
        slug = game_slug(cell.game)
        needs = tuple(f"demonstrations-{slug}-{split}" for split in _SPLITS)
        tasks.append(Task(cell.name, "reward models", cell.game, needs, cell))
    for agent in agent_tasks(study):
        needed = (f"expert-{game_slug(agent.game)}",) if agent.cell is None else (agent.cell.name,)
        tasks.append(Task(agent.name, "agents", agent.game, needed, agent))
    return sorted(tasks, key=lambda task: STAGES.index(task.stage))


def perform(
    study: StudyConfig, folder: StudyFolder, task: Task, say: Callable[[str], None]
) -> None:
    """Do a task.

    Raises:
        LearnerError: it cannot be done; one line.
    """
    if isinstance(task.work, Cell):
        fit_cell(study, folder, task.work)
    elif isinstance(task.work, AgentTask):
        train_agent(study, folder, task.work, say)
    elif task.stage == "experts":
        train_expert(study, folder, task.game, say)
    elif task.stage == "galleries":
        make_gallery(study, folder, task.game)
    elif task.work is None:
        judge_baselines(study, folder, task.game)
    else:
        index = folder.demonstrations(task.game, task.work) / "index.json"
        if not index.exists():
            record_split(study, folder, task.game, task.work, say)
        make_bank(folder, task.game, task.work)


def attempt(
    values: dict[str, Any], root: str, task: Task, say: Callable[[str], None]
) -> str | None:
    """Do a task wherever it was sent; what kept it from finishing, or None."""
    study, folder = StudyConfig.model_validate(values), StudyFolder(Path(root))
    try:
        perform(study, folder, task, say)
    except LearnerError as error:
        write_json(folder.problem(task.name), {"task": task.name, "problem": str(error)})
        return str(error)
    folder.problem(task.name).unlink(missing_ok=True)
    return None

"""The tasks of a study of rankings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from learner.study.agents import AgentTask, agent_tasks, train_agent
from learner.study.bank import make_bank
from learner.study.cells import Cell, cells, fit_cell, judge_baselines
from learner.study.config import StudyConfig
from learner.study.experts import train_expert
from learner.study.folder import StudyFolder, game_slug
from learner.study.gallery import make_gallery
from learner.study.recording import Split, record_split
from learner.study.tasks import Task

STAGES = ("experts", "demonstrations", "galleries", "baselines", "reward models", "agents")
_SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class RankingTask(Task):
    """A piece of a study of rankings.

    Attributes:
        game: of which it is.
        work: what distinguishes it from others of its stage.
    """

    game: str
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

    def perform(self, study: StudyConfig, folder: StudyFolder, say: Callable[[str], None]) -> None:
        """Do it."""
        if isinstance(self.work, Cell):
            fit_cell(study, folder, self.work)
        elif isinstance(self.work, AgentTask):
            train_agent(study, folder, self.work, say)
        elif self.stage == "experts":
            train_expert(study, folder, self.game, say)
        elif self.stage == "galleries":
            make_gallery(study, folder, self.game)
        elif self.work is None:
            judge_baselines(study, folder, self.game)
        else:
            index = folder.demonstrations(self.game, self.work) / "index.json"
            if not index.exists():
                record_split(study, folder, self.game, self.work, say)
            make_bank(folder, self.game, self.work)


def plan_tasks(study: StudyConfig) -> list[RankingTask]:
    """Every task of a study, in an order in which they can run."""
    tasks: list[RankingTask] = []
    for game in study.games:
        slug = game_slug(game)
        expert = RankingTask(f"expert-{slug}", "experts", (), game)
        tasks.append(expert)
        for split in _SPLITS:
            name = f"demonstrations-{slug}-{split}"
            tasks.append(RankingTask(name, "demonstrations", (expert.name,), game, split))
        test = f"demonstrations-{slug}-test"
        tasks.append(RankingTask(f"baselines-{slug}", "baselines", (test,), game))
        if study.gallery:
            tasks.append(RankingTask(f"gallery-{slug}", "galleries", (test,), game))
    for cell in cells(study):
        slug = game_slug(cell.game)
        needs = tuple(f"demonstrations-{slug}-{split}" for split in _SPLITS)
        tasks.append(RankingTask(cell.name, "reward models", needs, cell.game, cell))
    for agent in agent_tasks(study):
        needed = (f"expert-{game_slug(agent.game)}",) if agent.cell is None else (agent.cell.name,)
        tasks.append(RankingTask(agent.name, "agents", needed, agent.game, agent))
    return sorted(tasks, key=lambda task: STAGES.index(task.stage))

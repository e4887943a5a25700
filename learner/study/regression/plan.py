"""The tasks of a study of regressed rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from learner.envs.protocol import Split
from learner.study.experts import train_policy
from learner.study.folder import StudyFolder
from learner.study.regression.agents import train_paid_agent
from learner.study.regression.cases import (
    Case,
    Fitted,
    PaidAgent,
    Source,
    Stage,
    agents,
    cases,
    models,
)
from learner.study.regression.config import TRUE, RegressionConfig
from learner.study.regression.fitting import fit_model
from learner.study.regression.inspection import inspect_models
from learner.study.regression.transitions import policy_config, record, record_stream
from learner.study.tasks import Task

STAGES = ("policies", "transitions", "models", "figures", "agents")
_SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class PolicyTask(Task):
    """Train a case's policy."""

    case: Case

    def marker(self, folder: StudyFolder) -> Path:
        """The file that its training leaves in the end."""
        return self.case.policy(folder) / "finished"

    def perform(
        self, study: RegressionConfig, folder: StudyFolder, say: Callable[[str], None]
    ) -> None:
        """Train it."""
        config, place = policy_config(study, self.case), self.case.policy(folder)
        train_policy(config, place, study.experts.checkpoints, folder.compute, say)


@dataclass(frozen=True)
class SourceTask(Task):
    """Record transitions of one split."""

    source: Source
    split: Split

    def marker(self, folder: StudyFolder) -> Path:
        """The transitions."""
        return self.source.path(folder, self.split)

    def perform(
        self, study: RegressionConfig, folder: StudyFolder, say: Callable[[str], None]
    ) -> None:
        """Record them."""
        record(study, folder, self.source, self.split, say)


@dataclass(frozen=True)
class StreamTask(Task):
    """Record steps as they come."""

    case: Case
    policy: Stage

    def marker(self, folder: StudyFolder) -> Path:
        """The steps."""
        return self.case.stream(folder, self.policy)

    def perform(
        self, study: RegressionConfig, folder: StudyFolder, say: Callable[[str], None]
    ) -> None:
        """Record them."""
        say(f"{study.stream} steps of the {self.policy} policy")
        record_stream(study, folder, self.case, self.policy)


@dataclass(frozen=True)
class ModelTask(Task):
    """Regress a reward."""

    fitted: Fitted

    def marker(self, folder: StudyFolder) -> Path:
        """Its errors."""
        return self.fitted.path(folder)

    def perform(
        self, study: RegressionConfig, folder: StudyFolder, say: Callable[[str], None]
    ) -> None:
        """Regress it."""
        fit_model(study, folder, self.fitted, say)


@dataclass(frozen=True)
class FiguresTask(Task):
    """Look at what a case's rewards have learned."""

    case: Case

    def marker(self, folder: StudyFolder) -> Path:
        """What was found."""
        return self.case.figures(folder)

    def perform(
        self, study: RegressionConfig, folder: StudyFolder, say: Callable[[str], None]
    ) -> None:
        """Look at them."""
        say(f"{len(study.every_variant())} models")
        inspect_models(study, folder, self.case)


@dataclass(frozen=True)
class PaidAgentTask(Task):
    """Train an agent on a frozen reward."""

    agent: PaidAgent

    def marker(self, folder: StudyFolder) -> Path:
        """Its scores."""
        return self.agent.path(folder)

    def perform(
        self, study: RegressionConfig, folder: StudyFolder, say: Callable[[str], None]
    ) -> None:
        """Train it."""
        train_paid_agent(study, folder, self.agent, say)


def plan_tasks(study: RegressionConfig) -> list[Task]:
    """Every task of a study, in an order in which they can run."""
    tasks: list[Task] = []
    for case in cases(study):
        tasks += _of(study, case)
    return sorted(tasks, key=lambda task: STAGES.index(task.stage))


def _of(study: RegressionConfig, case: Case) -> list[Task]:
    """The tasks of one case."""
    policy = PolicyTask(f"policy-{case.name}", "policies", (), case)
    fitted = models(study, case)
    tasks: list[Task] = [policy]
    needed = [f"model-{one.name}" for one in fitted]
    for source in dict.fromkeys(one.source for one in fitted):
        for split in _SPLITS:
            name = f"transitions-{source.name}-{split}"
            tasks.append(SourceTask(name, "transitions", (policy.name,), source, split))
    if study.stream:
        for stage in get_args(Stage):
            name = f"stream-{case.name}-{stage}"
            tasks.append(StreamTask(name, "transitions", (policy.name,), case, stage))
            needed.append(name)
    for one in fitted:
        needs = tuple(f"transitions-{one.source.name}-{split}" for split in _SPLITS)
        tasks.append(ModelTask(f"model-{one.name}", "models", needs, one))
    tasks.append(FiguresTask(f"figures-{case.name}", "figures", tuple(needed), case))
    for agent in agents(study, case):
        model = () if agent.paid.model == TRUE else (f"model-{case.name}-{agent.paid.model}",)
        tasks.append(PaidAgentTask(f"agent-{agent.name}", "agents", model, agent))
    return tasks

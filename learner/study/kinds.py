"""What distinguishes one kind of study from another: its stages, its tasks and its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from learner.study import plan, report, summary
from learner.study.config import AnyStudy
from learner.study.folder import StudyFolder
from learner.study.regression import plan as regression_plan
from learner.study.regression import report as regression_report
from learner.study.regression import summary as regression_summary
from learner.study.tasks import Task


class Collected(Protocol):
    """What finished, and what did not."""

    @property
    def problems(self) -> Mapping[str, str]:
        """By task, what kept it from finishing."""

    def as_dict(self) -> dict[str, Any]:
        """For results.json."""


@dataclass(frozen=True)
class Kind:
    """A kind of study; its functions take configurations of that kind.

    Attributes:
        stages: in the order in which they run.
        plan: every task, in an order in which they can run.
        collect: what finished tasks left.
        report: draws it; the path of the page.
    """

    stages: tuple[str, ...]
    plan: Callable[[Any], Sequence[Task]]
    collect: Callable[[Any, StudyFolder, Sequence[Task], dict[str, str]], Collected]
    report: Callable[[Any, StudyFolder], Path]


_KINDS = {
    "rankings": Kind(plan.STAGES, plan.plan_tasks, summary.collect, report.write_report),
    "regression": Kind(
        regression_plan.STAGES,
        regression_plan.plan_tasks,
        regression_summary.collect,
        regression_report.write_report,
    ),
}


def kind_of(study: AnyStudy) -> Kind:
    """The kind of a study."""
    return _KINDS[study.kind]

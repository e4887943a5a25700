"""Tasks: the pieces of a study that are finished or not, each with a name and a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learner.study.folder import StudyFolder


@dataclass(frozen=True)
class Task(ABC):
    """A piece of a study; can be sent to another process.

    Attributes:
        name: of its problem file, and what people are told.
        stage: where it belongs.
        needs: tasks that must be finished before it.
    """

    name: str
    stage: str
    needs: tuple[str, ...]

    @abstractmethod
    def marker(self, folder: StudyFolder) -> Path:
        """The file whose presence says that it is finished."""

    @abstractmethod
    def perform(self, study: Any, folder: StudyFolder, say: Callable[[str], None]) -> None:
        """Do it.

        Args:
            study: a configuration of the kind that the task was planned from.
            folder: where everything lies.
            say: told how it goes.

        Raises:
            LearnerError: it cannot be done; one line.
        """

    def finished(self, folder: StudyFolder) -> bool:
        """Whether it never needs to run again."""
        return self.marker(folder).exists()

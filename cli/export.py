"""`clipwise export`: what a run has learned, as files for use elsewhere."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from learner.errors import LearnerError
from learner.records import Workplace
from server.settings import load_settings

console = Console()


class NotExported(LearnerError):
    """A file that cannot be written."""


def reward_model(name: str, version: int | None, out: Path) -> None:
    """Write a version of a run's reward model to a file that stands alone.

    Args:
        name: of the run.
        version: its number; None = the newest.
        out: the file, replaced if it is there.

    Raises:
        NotFound: no such run or version.
        NotExported: the file cannot be written.
    """
    workplace = Workplace(load_settings())
    try:
        workplace.check()
        number, content = workplace.reward_model(name, version)
    finally:
        workplace.close()
    try:
        out.write_bytes(content)
    except OSError as error:
        raise NotExported(f"cannot write {out}: {error.strerror}") from error
    console.print(f"version {number} of the reward model of {name}, {len(content):,} bytes")
    console.print(str(out), soft_wrap=True)

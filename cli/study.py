"""`clipwise study CONFIG`: from experts to a report, going on where it was left."""

from __future__ import annotations

import signal

from rich.console import Console

from cli.checks import check_environment
from cli.signals import interrupt
from learner.study.config import AnyStudy
from learner.study.folder import StudyError
from learner.study.stages import run_study
from server.settings import load_settings

console = Console()


def study(config: AnyStudy, stages: list[str]) -> None:
    """Run what is not finished, of all stages or of some, and write the report.

    Raises:
        UnavailableEnvironment: a game is unknown or not installed; nothing was begun.
        StudyError: something did not finish; the report says what, and holds the rest.
    """
    signal.signal(signal.SIGTERM, interrupt)
    for game in config.games:  # before the folder is taken for a study that cannot run
        check_environment(config.environment_of(game))
    root = load_settings().var / "studies" / config.name
    console.print(f"study [bold]{config.name}[/bold] in {root}", soft_wrap=True)
    results = run_study(
        config, root, lambda line: console.print(line, highlight=False, markup=False), stages
    )
    console.print(str(root / "report.html"), soft_wrap=True)
    console.print(str(root / "results.json"), soft_wrap=True)
    if results.problems:
        name, problem = next(iter(results.problems.items()))
        raise StudyError(
            f"{len(results.problems)} tasks did not finish, the first {name}: {problem}; the same "
            "command tries them again"
        )

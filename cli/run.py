"""`clipwise run CONFIG`: one experiment headless, from the config to a result table."""

from __future__ import annotations

import signal
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.checks import check_codec, check_environment
from cli.signals import interrupt
from learner.config import RunConfig
from learner.errors import LearnerError
from learner.evaluation.estimates import Estimate
from learner.loop import Outcome
from learner.loop import Progress as RunProgress
from learner.records import LEASE_SECONDS, RunRecords, RunState, Workplace
from learner.result import FILE, figures
from learner.worker import train, worker_name
from server.database import migrate
from server.settings import load_settings

console = Console()


class NotTrained(LearnerError):
    """The run ended before its result; the message says how to go on."""


def run(config: RunConfig) -> None:
    """Train to the end; the same command goes on where an interrupted one stopped.

    Raises:
        NotTrained: stopped, taken over, or another worker has it.
    """
    check_environment(config.environment)
    check_codec()
    settings = load_settings()
    migrate(settings.database_url)
    signal.signal(signal.SIGTERM, interrupt)
    workplace = Workplace(settings)
    try:
        records = _lease(workplace, config)
        console.print(f"run [bold]{records.name}[/bold] in {settings.database_url}")
        outcome = _train(records, config)
        if outcome is None:
            raise NotTrained(f"run {records.name} was stopped; the same command goes on")
        folder = records.folder
    finally:
        workplace.close()
    console.print(_table(records.name, outcome))
    console.print(str(folder / FILE), soft_wrap=True)


def _lease(workplace: Workplace, config: RunConfig) -> RunRecords:
    """The unfinished run of this config, or a new one, leased to this process.

    A worker that was killed holds its lease for a while; one that lives renews it for ever.
    """
    values = config.model_dump(mode="json")
    name = workplace.unfinished_run(values) or workplace.create_run(values)
    deadline = time.monotonic() + LEASE_SECONDS + 1.0
    while (records := workplace.lease(worker_name(), name=name)) is None:
        if time.monotonic() > deadline:
            raise NotTrained(
                f"another worker trains run {name}; wait for it, or stop it on its page"
            )
        time.sleep(0.5)
    return records


def _train(records: RunRecords, config: RunConfig) -> Outcome | None:
    """Train with a progress bar on a terminal and plain lines elsewhere."""
    # Interrupted, it waits for the same command, not for any worker that happens to be free.
    left = RunState.STOPPED
    if not console.is_terminal:
        return train(
            records,
            lambda progress: console.print(_line(progress), highlight=False),
            interrupted=left,
        )
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task("starting", total=config.total_steps)
        return train(
            records,
            lambda progress: bar.update(
                task, completed=progress.steps, description=_line(progress)
            ),
            interrupted=left,
        )


def _line(progress: RunProgress) -> str:
    parts = [
        f"{progress.steps:,} / {progress.total_steps:,} steps",
        f"{progress.labels} labels",
        f"{progress.steps_per_second:,.0f} steps/s",
    ]
    for name, label in (
        ("rollout/ep_rew_mean", "return"),
        ("reward_model/accuracy_fresh", "accuracy"),
    ):
        if name in progress.metrics:
            parts.append(f"{label} {progress.metrics[name]:.2f}")
    return " · ".join(parts)


def _table(name: str, outcome: Outcome) -> Table:
    table = Table(title=f"{name}: {outcome.steps:,} steps, {outcome.labels} labels")
    for column in ("", "value", "95 % interval", "n"):
        table.add_column(column, justify="left" if not column else "right")
    for label, estimate in figures(outcome.scores).items():
        table.add_row(label, _number(estimate.value), _interval(estimate), str(estimate.n))
    table.add_row("labels used", str(outcome.labels), "", "")
    table.add_row("steps/s", f"{outcome.steps_per_second:,.0f}", "", "")
    return table


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "undefined"


def _interval(estimate: Estimate) -> str:
    return f"{_number(estimate.low)} to {_number(estimate.high)}"

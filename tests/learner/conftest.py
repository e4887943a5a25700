"""Workplaces with a database and an artifact store, and a run small enough to finish in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import select

from learner.config import parse_config
from learner.records import Settings, Workplace
from server.database import migrate
from server.models import Metric, Preference, Query, Segment, Trajectory

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "total_steps": 4 * 8 * 40,
    "threads": 1,
    "precision": "float32",
    "environment": {"id": "procgen/fruitbot", "num_envs": 8, "num_levels": 20},
    "agent": {"n_steps": 40, "batch_size": 160, "n_epochs": 1},
    "segments": {"length": 10},
    "reward": {"initial_epochs": 2, "epochs": 1, "batch_size": 4},
    "queries": {"budget": 16, "initial": 6, "candidates": 3, "min_preferences": 1},
    "teacher": {"kind": "synthetic"},
    "evaluation": {"episodes": 1, "interim_episodes": 1, "every": 3},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are faster on one thread, and other tests share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> Callable[..., dict[str, Any]]:
    """A complete config of a tiny run; sections given as keywords are merged into it."""

    def build(**changes: Any) -> dict[str, Any]:
        values = {key: dict(v) if isinstance(v, dict) else v for key, v in TINY.items()}
        for key, change in changes.items():
            values[key] = {**values.get(key, {}), **change} if isinstance(change, dict) else change
        return parse_config(values).model_dump(mode="json")

    return build


@pytest.fixture
def make_workplace(tmp_path: Path) -> Iterator[Callable[[str], Workplace]]:
    """Makes separate workplaces, each with a migrated database of its own, by name."""
    made: list[Workplace] = []

    def make(name: str) -> Workplace:
        settings = Settings(var=tmp_path / name)
        migrate(settings.database_url)
        made.append(Workplace(settings))
        return made[-1]

    yield make
    for workplace in made:
        workplace.close()


@pytest.fixture
def workplace(make_workplace: Callable[[str], Workplace]) -> Workplace:
    """One workplace."""
    return make_workplace("workplace")


@pytest.fixture
def stored() -> Callable[[Workplace], dict[str, list[Any]]]:
    """Tells what a run left in the database, without times; of answers last what they were for."""

    def read(workplace: Workplace) -> dict[str, list[Any]]:
        with workplace.database.read() as session:
            pairs = session.execute(
                select(
                    *(Preference.answer, Query.iteration, Query.selection, Segment.start),
                    Preference.purpose,
                )
                .join(Query, Query.id == Preference.query_id)
                .join(Segment, Segment.id == Query.segment_a_id)
                .order_by(Preference.id)
            )
            recipes = session.scalars(select(Trajectory.artifact).order_by(Trajectory.id))
            metrics = session.execute(
                select(Metric.name, Metric.step, Metric.value)
                .where(Metric.name.not_like("time/%"), Metric.name.not_like("system/%"))
                .order_by(Metric.name, Metric.step)
            )
            return {
                "preferences": [tuple(row) for row in pairs],
                "recipes": list(recipes),
                "metrics": [tuple(row) for row in metrics],
            }

    return read

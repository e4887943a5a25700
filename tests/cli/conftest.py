"""Configs for the command, written to files; runs small enough to end in seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from server.artifacts import Artifacts
from server.database import Database
from server.models import Checkpoint, RewardModel, Segment, Trajectory
from server.settings import Settings

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "total_steps": 4 * 8 * 40,
    "threads": 1,
    "precision": "float32",
    "environment": {"id": "procgen/fruitbot", "num_envs": 8, "num_levels": 20},
    "agent": {"n_steps": 40, "batch_size": 160, "n_epochs": 1},
    "segments": {"length": 10},
    "reward": {"initial_epochs": 1, "epochs": 1, "batch_size": 4},
    "queries": {"budget": 16, "initial": 6, "candidates": 3},
    "teacher": {"kind": "synthetic"},
    "evaluation": {"episodes": 1, "interim_episodes": 1, "every": 1000, "video_seconds": 1},
}


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., str]:
    """Writes the tiny config, with sections merged into it, as YAML; gives the file's path."""

    def write(**changes: Any) -> str:
        values = {key: dict(v) if isinstance(v, dict) else v for key, v in TINY.items()}
        for key, change in changes.items():
            known = values.get(key)
            values[key] = {**known, **change} if isinstance(known, dict) else change
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(values))
        return str(path)

    return write


@pytest.fixture
def tiny(write_config: Callable[..., str]) -> str:
    """Path of a config with a synthetic teacher."""
    return write_config()


@pytest.fixture
def by_people(write_config: Callable[..., str]) -> str:
    """Path of a config that people answer."""
    return write_config(
        name="people",
        total_steps=1_000_000,
        environment={"id": "Pendulum-v1"},
        agent={"network": "mlp"},
        reward={"network": "mlp"},
        teacher={"kind": "person"},
        queries={"budget": 100, "min_preferences": 3, "open_target": 6},
    )


def named_artifacts(settings: Settings) -> dict[str, str]:
    """Every artifact that a row names, with a word for the row."""
    columns = (
        Trajectory.artifact,
        Segment.clip,
        RewardModel.artifact,
        Checkpoint.artifact,
        Checkpoint.showing,
        Checkpoint.video,
    )
    database = Database(settings.database_url)
    with database.read() as s:
        names = {
            name: str(column)
            for column in columns
            for name in s.scalars(select(column).where(column.is_not(None)))
        }
    database.close()
    return names


@pytest.fixture
def assert_artifacts_whole(command: Any) -> Callable[[], None]:
    """Checks that every artifact a row names is there and is what its name says."""

    def check() -> None:
        names = named_artifacts(command.settings)
        artifacts = Artifacts(command.settings.artifacts_url)
        assert {row.partition(".")[0] for row in names.values()} >= {"Trajectory", "Checkpoint"}
        for name, row in names.items():
            with artifacts.open(name) as file:
                assert hashlib.sha256(file.read()).hexdigest() == name, row

    return check

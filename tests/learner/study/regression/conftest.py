"""Studies of regressed rewards, small enough to run within seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from learner.study.folder import StudyFolder
from learner.study.regression.config import RegressionConfig
from learner.study.stages import run_study

_PPO = {"network": "mlp", "n_steps": 64, "batch_size": 128, "reward_scale": "fixed"}
MAZE: dict[str, Any] = {
    "kind": "regression",
    "name": "tiny",
    "games": ["maze/coin-flip"],
    "seeds": 2,
    "precision": "float32",
    "threads": 1,
    "environment": {"num_envs": 8, "options": {"size": 4}},
    "experts": {"total_steps": 512, "checkpoints": 2, "agent": _PPO},
    "transitions": {"train": 400, "test": 200},
    "model": {"hidden": [16], "codes": [1, 3, 2], "epochs": 2},
    "stream": 0,
    "agents": {
        "total_steps": 512,
        "games": ["maze/coin-flip", "maze/two-goals"],
        "episodes": 4,
        "agent": _PPO,
    },
    "executor": {"kind": "inline"},
}


@pytest.fixture
def maze_study() -> Callable[..., RegressionConfig]:
    """Builds a study of mazes; sections given as keywords are merged into it."""

    def build(**changes: Any) -> RegressionConfig:
        values = {key: dict(v) if isinstance(v, dict) else v for key, v in MAZE.items()}
        for key, change in changes.items():
            merged = isinstance(change, dict) and isinstance(values.get(key), dict)
            values[key] = {**values[key], **change} if merged else change
        return RegressionConfig.model_validate(values)

    return build


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RegressionConfig, Path, Any]:
    """A study of mazes that has run to its report; not to be changed."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("regression")
    study = RegressionConfig.model_validate(MAZE)
    return study, root, run_study(study, root, lambda _: None)


@pytest.fixture
def folder(finished: tuple[RegressionConfig, Path, Any]) -> StudyFolder:
    """The finished study's folder; not to be changed."""
    return StudyFolder(finished[1])

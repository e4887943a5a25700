"""A study of mazes, small enough to run within seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from learner.study.config import StudyConfig
from learner.study.folder import StudyFolder
from learner.study.stages import run_study
from learner.study.summary import Results

_PPO = {"network": "mlp", "n_steps": 64, "batch_size": 128}
TINY: dict[str, Any] = {
    "name": "tiny",
    "games": ["maze/coin-flip"],
    "precision": "float32",
    "threads": 1,
    "environment": {"num_envs": 8, "options": {"size": 4, "terminating": False}},
    "experts": {"total_steps": 1024, "checkpoints": 3, "agent": _PPO},
    "demonstrations": {"train": 20, "test": 12, "side_by_side": 8},
    "snippets": {"pairs": 100, "min_length": 6, "max_length": 6, "stride": 1, "jitter": 1},
    "reward": {
        "network": "mlp",
        "hidden": [16],
        "members": 1,
        "bootstrap": False,
        "holdout": 0.2,
        "buffer": None,
        "initial_max_batches": 5,
    },
    "sweep": {"counts": [8, 20], "seeds": 1, "rules": ["paper_atari", "time_aligned"]},
    "judging": {"pairs": 60, "resamples": 20},
    "agents": {"total_steps": 512, "episodes": 3, "controls": ["plus_one"], "agent": _PPO},
    "executor": {"kind": "inline"},
    "gallery": 3,
}


def small_study(**changes: Any) -> StudyConfig:
    """The study of mazes; sections given as keywords are merged into it."""
    values = {key: dict(v) if isinstance(v, dict) else v for key, v in TINY.items()}
    for key, change in changes.items():
        values[key] = {**values.get(key, {}), **change} if isinstance(change, dict) else change
    return StudyConfig.model_validate(values)


@pytest.fixture
def tiny() -> Callable[..., StudyConfig]:
    """Builds a study of mazes with changes."""
    return small_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyConfig, Path, Results]:
    """A study that has run to its report; not to be changed."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("study")
    study = small_study()
    return study, root, run_study(study, root, lambda _: None)


@pytest.fixture
def folder(finished: tuple[StudyConfig, Path, Results]) -> StudyFolder:
    """The finished study's folder; not to be changed."""
    return StudyFolder(finished[1])

"""`clipwise evaluate`: what people read about a trained run's reward model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

MAZE: dict[str, Any] = {
    "name": "maze",
    "total_steps": 4 * 8 * 40,
    "threads": 1,
    "precision": "float32",
    "environment": {
        "id": "maze/random-goal",
        "num_envs": 8,
        "options": {"size": 4, "terminating": False},
    },
    "agent": {"network": "mlp", "n_steps": 40, "batch_size": 160, "n_epochs": 1},
    "segments": {"length": 10},
    "reward": {"network": "mlp", "hidden": [8], "initial_epochs": 2, "epochs": 1},
    "queries": {"budget": 16, "initial": 6, "candidates": 3},
    "teacher": {"kind": "synthetic"},
    "evaluation": {"episodes": 2, "interim_episodes": 2, "every": 2, "video_seconds": 1},
}


@pytest.mark.slow
def test_every_figure_stands_beside_its_baselines_and_what_a_clock_gets(
    command: Any, write_config: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = command.run("run", write_config(**MAZE), timeout=250)
    assert trained.returncode == 0, trained.stderr
    monkeypatch.setenv("COLUMNS", "160")
    said = command.run("evaluate", "maze", "--episodes=12", timeout=250)
    assert said.returncode == 0, said.stderr
    for shown in ("reward model", "sign-flipped", "baseline: length", "given length", "ECE"):
        assert shown in said.stdout, shown
    (paper,) = [line for line in said.stdout.splitlines() if "paper_atari" in line]
    assert "⚠ 0.9" in paper or "⚠ 1.0" in paper
    assert "no evidence of learning" in " ".join(said.stdout.split())
    found = json.loads((command.settings.var / "runs" / "maze" / "evaluation.json").read_text())
    assert found["figures"]["reward model"]["calibration"]["brier"] >= 0
    missing = command.run("evaluate", "nobody", timeout=60)
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1

"""Grids of experiments: every cell has a config, finished ones are known, tables add up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from experiments import grid as grids
from experiments.tables import collect, page, table
from learner.config import load_config
from learner.study.loading import load_any_study

CONFIGS = sorted(Path("experiments").glob("*.yaml"))
GRIDS = sorted(Path("experiments/grids").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_published_configs_fit_the_command_that_they_name(path: Path) -> None:
    commands = re.findall(r"#   clipwise (run|study|up --config) (\S+)", path.read_text())
    assert {named for _, named in commands} <= {str(path)}
    if any(command == "study" for command, _ in commands):
        assert load_any_study(path).games
    else:
        assert load_config(path).total_steps > 0


@pytest.mark.parametrize("path", GRIDS, ids=str)
def test_every_cell_is_a_run_of_its_own(path: Path) -> None:
    grid, cells = grids.read_grid(path), list(grids.cells(path))
    assert len(cells) == len(grid.seeds) * len(grid.tasks) * len(grid.variants)
    configs = [cell.values.model_dump_json(exclude={"name"}) for cell in cells]
    assert len(set(configs)) == len(cells)
    assert grid.baseline in grid.variants
    assert [c.values.agent.reward for c in cells if c.variant == "true-reward"] == [
        "true" for _ in range(len(grid.seeds) * len(grid.tasks))
    ]


def finish(cell: grids.Cell, value: float) -> None:
    outcome = {
        "seed": cell.seed,
        "steps": 1_000_000,
        "figures": {"true return, unseen levels": {"value": value}},
        "curves": {
            "rollout/ep_rew_mean": [[1, 0.0], [10, value]],
            "evaluation/return_test": [[1, 20.0], [10, value]],
        },
        "labels": 700,
        "seconds": 60.0,
        "config": cell.values.model_dump(mode="json"),
    }
    cell.outcome.parent.mkdir(parents=True, exist_ok=True)
    cell.outcome.write_text(json.dumps(outcome))


def test_finished_cells_become_a_page_and_others_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(grids, "DATA", tmp_path / "data")
    monkeypatch.setattr("experiments.tables.PAGES", tmp_path)
    path = Path("experiments/grids/mujoco.yaml")
    cells = list(grids.cells(path, "hopper/*"))
    for cell in cells[:5]:  # of nine: all variants of seed 0, two of seed 1
        value = {"true-reward": 1000.0, "700-labels": 900.0}.get(cell.variant, 1100.0)
        finish(cell, value + 20 * cell.seed)
    grid = grids.read_grid(path)
    rows = table(grid, collect(path, grid))
    # 900 and 920: Student's quantile for two seeds is 12.706, times 10
    beside = "| 910.0 (782.9 to 1,037.1) | 0.90 (0.89 to 0.91) | 0.90 (0.88 to 0.91) | 700 | 2 |"
    assert any(f"| hopper | 700-labels {beside}" in row for row in rows)
    alone = "| 1,100.0 (1 seed) | 1.10 (1 seed) | 1.10 (1 seed) | 700 | 1 |"
    assert any(f"| hopper | 1400-labels {alone}" in row for row in rows)
    assert any(
        "| hopper | true-reward | 1,010.0 (882.9 to 1,137.1) | – | – |" in row for row in rows
    )
    written = page(path).read_text()
    assert "hopper-1400-labels-1" in written
    assert "hopper-700-labels-1," not in written
    assert (tmp_path / "mujoco.png").stat().st_size > 10_000


def test_a_cell_whose_config_has_changed_is_not_finished(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(grids, "DATA", tmp_path)
    cell = next(grids.cells(Path("experiments/grids/mujoco.yaml")))
    assert not cell.finished()
    finish(cell, 1.0)
    assert cell.finished()
    stored = json.loads(cell.outcome.read_text())
    del stored["config"]["reward"]["input_noise"]  # as if written before this key was there
    cell.outcome.write_text(json.dumps(stored))
    assert cell.finished()
    stored["config"]["total_steps"] += 1
    cell.outcome.write_text(json.dumps(stored))
    assert not cell.finished()

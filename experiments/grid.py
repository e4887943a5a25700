"""Runs a grid of experiments: tasks x variants x seeds of one config, one after the other.

    python -m experiments.grid experiments/grids/mujoco.yaml [--only 'hopper/*/0'] [--jobs 2]

Every cell is `clipwise run` in a folder of its own under var/grids; what it came to is kept under
docs/results/data. Finished cells are skipped, interrupted ones go on: start it again at any time.
`python -m experiments.tables` turns what is there into a page.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from learner.config import RunConfig, load_config, parse_config
from server.database import Database
from server.settings import Settings
from server.store import metrics, runs

DATA = Path("docs/results/data")


class Grid(BaseModel):
    """A table of experiments.

    Attributes:
        title: of its page.
        config: YAML file that all cells start from, beside the grid's folder.
        figure: of result.json, compared between variants.
        curve: metric drawn over steps.
        baseline: the variant that others are divided by.
        seeds: of every cell.
        tasks: overrides by name.
        variants: overrides by name; they come after the task's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    config: Path
    figure: str
    curve: str
    baseline: str
    seeds: tuple[int, ...]
    tasks: dict[str, tuple[str, ...]]
    variants: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Cell:
    """One run of a grid."""

    grid: str
    task: str
    variant: str
    seed: int
    config: Path
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Unlike every other cell's."""
        return f"{self.task}-{self.variant}-{self.seed}"

    @property
    def command(self) -> tuple[str, ...]:
        """What runs it, after `clipwise`."""
        return "run", str(self.config), *self.overrides, f"seed={self.seed}", f"name={self.name}"

    @property
    def outcome(self) -> Path:
        """Where what it came to is kept."""
        return DATA / self.grid / f"{self.name}.json"

    @property
    def values(self) -> RunConfig:
        """Its whole config."""
        return load_config(self.config, list(self.command[2:]))

    def finished(self) -> bool:
        """Whether its outcome is there and of this config; keys added since have defaults."""
        if not self.outcome.exists():
            return False
        kept = json.loads(self.outcome.read_text())["config"]
        return parse_config(kept, source=str(self.outcome)) == self.values


def read_grid(path: Path) -> Grid:
    """The grid of a YAML file."""
    return Grid.model_validate(yaml.safe_load(path.read_text()))


def cells(path: Path, only: str = "*") -> Iterator[Cell]:
    """Cells whose task/variant/seed matches a pattern; all of the first seed come first."""
    grid = read_grid(path)
    config = path.parent.parent / grid.config
    for seed in grid.seeds:
        for task, for_task in grid.tasks.items():
            for variant, for_variant in grid.variants.items():
                if fnmatch.fnmatch(f"{task}/{variant}/{seed}", only):
                    overrides = (*for_task, *for_variant)
                    yield Cell(path.stem, task, variant, seed, config, overrides)


def run(cell: Cell) -> bool:
    """Run one cell, or go on with it; whether it reached its end."""
    folder = Path("var/grids") / cell.grid / cell.name
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CLIPWISE_VAR": str(folder)}
    with (folder / "log").open("a") as log:
        command = [sys.executable, "-m", "cli", *cell.command]
        status = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
    if status.returncode:
        print(f"{cell.name}: failed; {folder / 'log'} says why", flush=True)
        return False
    result = keep(cell, folder)
    figures = ", ".join(f"{name} {one['value']:.4g}" for name, one in result["figures"].items())
    print(f"{cell.name}: {result['seconds']:,.0f} s; {figures}", flush=True)
    return True


def keep(cell: Cell, folder: Path) -> dict[str, Any]:
    """Store a finished cell's result with its curves."""
    results = sorted((folder / "runs").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
    result: dict[str, Any] = json.loads(results[-1].read_text())
    settings = Settings(var=folder)
    database = Database(settings.database_url)
    try:
        with database.read() as s:
            run_id = runs.get_run(s, name=result["run"]).id
            names = ["rollout/ep_rew_mean", "evaluation/return_test", "preferences/total"]
            curves = metrics.series(s, run_id=run_id, names=names, max_points=200)
    finally:
        database.close()
    outcome = {"command": ["clipwise", *cell.command], **result, "curves": curves}
    cell.outcome.parent.mkdir(parents=True, exist_ok=True)
    cell.outcome.write_text(json.dumps(outcome) + "\n")
    return result


def main() -> int:
    """Run what is not finished; 1 if a cell failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", type=Path)
    parser.add_argument("--only", default="*", help="pattern of task/variant/seed")
    parser.add_argument("--jobs", type=int, default=1, help="cells side by side")
    parser.add_argument("--list", action="store_true", help="say what is finished and what is not")
    options = parser.parse_args()
    chosen = list(cells(options.grid, options.only))
    if options.list:
        for cell in chosen:
            print("finished" if cell.finished() else "to do   ", "clipwise", *cell.command)
        return 0
    with ThreadPoolExecutor(options.jobs) as pool:
        return 0 if all(list(pool.map(run, [c for c in chosen if not c.finished()]))) else 1


if __name__ == "__main__":
    sys.exit(main())

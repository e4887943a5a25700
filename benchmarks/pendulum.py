"""Pendulum from 200 labels beside imitation 1.0.1 and the recipe of its documentation.

    python -m benchmarks.pendulum [--quick] [--seeds 5] [--again]

imitation is asked for 50,000 steps and takes more; ours is given as many as it really took, to the
step. Each seed is trained on one torch thread in a process of its own, the two by turns. What is
finished lies under var/bench/pendulum and is not trained again, so an interrupted measurement goes
on; --again begins anew. Wall is that of training: neither starting nor scoring is part of it.
Returns are means over 100 episodes with sampled actions.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.loop_overhead import Contender
from benchmarks.measure import Figure, report
from benchmarks.versus_imitation import install
from learner.config import RunConfig, load_config
from learner.envs.protocol import Environments, Step
from learner.evaluation.returns import mean_over_runs

FOLDER = Path("var/bench/pendulum")
CONFIG = Path("experiments/pendulum-imitation.yaml")
THEIR_SCRIPT = Path("benchmarks/imitation/pendulum.py")
BAR_WALL = 0.7
ASKED, LABELS, EPISODES = 50_000, 200, 100


def make_config(seed: int, steps: int, labels: int, episodes: int) -> RunConfig:
    """Our run of a seed."""
    first = labels // 2
    changes = [f"seed={seed}", f"total_steps={steps}", f"evaluation.episodes={episodes}"]
    return load_config(CONFIG, [*changes, f"queries.budget={labels}", f"queries.initial={first}"])


def count_steps(environments: Environments) -> list[int]:
    """A list of one number that grows with every step the environments take."""
    taken, step_wait = [0], environments.step_wait

    def counted() -> Step:
        taken[0] += environments.num_envs
        return step_wait()

    environments.step_wait = counted  # type: ignore[method-assign]
    return taken


def train_ours(config: RunConfig, folder: Path) -> dict[str, float]:
    """Train a run to its end in this process."""
    torch.set_num_threads(1)
    contender = Contender(config, folder)
    taken = count_steps(contender.loop.environments)
    outcome = contender.loop.run()
    contender.watch.note("")
    spent = contender.watch.seconds
    seconds = sum(value for doing, value in spent.items() if doing not in ("", "scoring the agent"))
    return {
        "seconds": seconds,
        "steps": taken[0],
        "labels": outcome.labels,
        "return": outcome.scores.test.value,
    }


def finished(name: str, facts: dict[str, Any], command: list[str]) -> dict[str, float]:
    """What a training came to: as it is kept, or from a process that prints it last."""
    path = FOLDER / f"{name}.json"
    if path.exists() and (kept := json.loads(path.read_text()))["facts"] == facts:
        figures: dict[str, float] = kept["figures"]
        return figures
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures = json.loads(printed.splitlines()[-1])
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"facts": facts, "figures": figures}, indent=1) + "\n")
    print(f"{name}: {figures}", flush=True)
    return figures


def pair(python: Path, seed: int, asked: int, labels: int, episodes: int) -> list[dict[str, float]]:
    """Ours and theirs with one seed, at equal environment steps."""
    side = [str(one) for one in (seed, labels, asked, episodes)]
    theirs = finished(
        f"imitation-{seed}-{asked}", {"arguments": side}, [str(python), str(THEIR_SCRIPT), *side]
    )
    steps = int(theirs["steps"])
    config = make_config(seed, steps, labels, episodes)
    numbers = [str(one) for one in (seed, steps, labels, episodes)]
    command = [sys.executable, "-m", "benchmarks.pendulum", "--side", *numbers]
    ours = finished(f"ours-{seed}-{asked}", config.model_dump(mode="json"), command)
    return [ours | {"asked": steps}, theirs]


def figures_of(pairs: list[list[dict[str, float]]], *, bars: bool) -> list[Figure]:
    """Means over seeds with Student's intervals; the ratio of wall by seed."""

    def column(side: int, name: str) -> NDArray[np.float64]:
        return np.array([one[side][name] for one in pairs])

    def mean(name: str, values: NDArray[np.float64], unit: str = "", **bar: float) -> Figure:
        found = mean_over_runs(values)
        half = found.high - found.value if found.n > 1 else None
        return Figure(name, found.value, unit, half, **(bar if bars else {}))

    excess = float(np.abs(column(0, "steps") - column(0, "asked")).max())
    ratio = column(0, "seconds") / column(1, "seconds")
    return [
        mean("return, ours", column(0, "return")),
        mean("return, imitation", column(1, "return")),
        mean("return, ours - imitation", column(0, "return") - column(1, "return"), at_least=0.0),
        mean("wall, ours", column(0, "seconds"), "s"),
        mean("wall, imitation", column(1, "seconds"), "s"),
        mean("wall, ours / imitation", ratio, "x", at_most=BAR_WALL),
        mean("environment steps of either", column(1, "steps")),
        Figure("steps of ours beside its budget", excess, at_most=0),
        Figure("labels of ours", float(column(0, "labels").max()), at_most=LABELS),
    ]


def main() -> int:
    """Measure and report; 1 if ours is worse, slower, or beside its budget."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, few steps, no bars")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--again", action="store_true", help="forget what is finished")
    parser.add_argument("--side", type=int, nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        folder = FOLDER / f"run-{options.side[0]}"
        shutil.rmtree(folder, ignore_errors=True)  # the wall of a run gone on with is not whole
        print(json.dumps(train_ours(make_config(*options.side), folder)))
        return 0
    if options.again:
        shutil.rmtree(FOLDER, ignore_errors=True)
    python = install()
    seeds, asked, labels, episodes = options.seeds, ASKED, LABELS, EPISODES
    if options.quick:
        seeds, asked, labels, episodes = 1, 10_240, 40, 10
    pairs = [pair(python, seed, asked, labels, episodes) for seed in range(seeds)]
    return report("pendulum", figures_of(pairs, bars=not options.quick))


if __name__ == "__main__":
    sys.exit(main())

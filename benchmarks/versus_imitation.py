"""Reward training beside imitation 1.0.1, each in its own process, on one torch thread.

    python -m benchmarks.versus_imitation [--quick] [--repeats 3]

imitation lives in an environment of its own under var/bench, which is made at the first run.
Batches of 32, equally many passes over the comparisons. Vectors: 17 + 6 inputs, 50 steps, two
layers of 32 units in both, no noise and no dropout in either. Images: 64x64x3, 25 steps; the
Christiano network with both beside its CNN with neither, ours in the precision that a run would
choose, its in float32, which is the only one it has. Ours is a whole fit, with looks at the
held-out labels, normalisation and metrics; a comparison counts once for the whole ensemble. What
both make of a task: `benchmarks.pendulum`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from benchmarks.measure import Figure, report
from benchmarks.reward_training import IMAGES, synthetic_labels
from learner.config import RewardConfig, RunConfig
from learner.devices import keep_large_blocks
from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.fitting import fit
from learner.rewards.probe import choose_compute

HOME = Path("var/bench/imitation")
BARS = {"mlp": 10.0, "cnn": 15.0}
BAR_BYTES = 2.0**30
_REQUIREMENTS = ("imitation==1.0.1", "setuptools<81")
# Comparisons of imitation and of ours, so that each takes seconds, and epochs of both.
_SIZES = {"mlp": (500, 1000, 30), "cnn": (32, 256, 2)}
_QUICK = {"mlp": (500, 500, 4), "cnn": (8, 64, 1)}


def install() -> Path:
    """The Python of imitation's environment, made if it is not there."""
    python = HOME / "bin" / "python"
    if not (HOME / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, "torch==2.13.0", *_REQUIREMENTS], check=True)
        (HOME / "ready").touch()
    return python


def vector_labels(count: int) -> LabelledPairs:
    """Answers about random vectors: 17 numbers and 6 of the action, 50 steps."""
    rng = np.random.default_rng(0)
    store, rows = SegmentStore(50), []
    for pair in range(count):
        for key in (2 * pair, 2 * pair + 1):
            observations = rng.normal(size=(50, 17)).astype(np.float32)
            actions = rng.normal(size=(50, 6)).astype(np.float32)
            store.add(key, observations, actions, f"episode {key}")
        answer = "a" if rng.random() < 0.5 else "b"
        rows.append(PreferenceRow(pair, pair, 0, 2 * pair, 2 * pair + 1, answer))
    return labelled_pairs(rows, store)


def ours(kind: str, members: int, count: int, epochs: int) -> dict[str, float]:
    """One fit of ours: comparisons per second, and resident bytes beside the data."""
    torch.set_num_threads(1)
    common = {"members": members, "batch_size": 32, "bootstrap": False, "initial_epochs": epochs}
    if kind == "mlp":
        labels = vector_labels(count)
        config = RewardConfig.model_validate(
            common
            | {"network": "mlp", "hidden": (32, 32), "use_action": True}
            | {"input_noise": 0.0, "dropout": 0.0}
        )
        seen: gym.Space[Any] = gym.spaces.Box(-np.inf, np.inf, (17,))
        done: gym.Space[Any] = gym.spaces.Box(-1, 1, (6,))
    else:
        labels = synthetic_labels(count)
        config = RewardConfig.model_validate(common)
        seen, done = IMAGES, gym.spaces.Discrete(15)
    config = config.model_copy(update={"initial_max_batches": 100_000})
    if kind == "cnn":
        keep_large_blocks()  # as every run on images does
    compute = choose_compute(RunConfig(device="cpu", threads=1, reward=config), seen, done)
    ensemble = RewardEnsemble(seen, done, config, 0, compute.device, compute.precision)
    started = time.perf_counter()
    result = fit(ensemble, labels, config, np.random.default_rng(0))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    return {
        "comparisons_per_second": result.pairs[0] / seconds,
        "peak": peak - labels.store.nbytes,
        "bfloat16": float(compute.precision == "bfloat16"),
    }


def _ask(command: list[str], kind: str, *numbers: int) -> dict[str, float]:
    """Figures that a process of its own prints as its last line."""
    arguments = [kind, *map(str, numbers)]
    printed = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(printed.stdout.splitlines()[-1])
    return figures


def compare(kind: str, members: int, quick: bool, repeats: int, python: Path) -> list[Figure]:
    """Both by turns, and their ratio."""
    theirs, own, epochs = (_QUICK if quick else _SIZES)[kind]
    side = [str(python), "benchmarks/imitation/throughput.py"]
    our_side = [sys.executable, "-m", "benchmarks.versus_imitation", "--side"]
    speeds, peaks = [], []
    for _ in range(repeats):
        them = _ask(side, kind, members, theirs, epochs)
        us = _ask(our_side, kind, members, own, epochs)
        speeds.append((us["comparisons_per_second"], them["comparisons_per_second"]))
        peaks.append((us["peak"], them["peak"]))
    us_speed, their_speed = np.array(speeds).T
    ratio = us_speed / their_speed
    name = f"{kind}, {members} member{'s' if members > 1 else ''}"
    figures = [
        Figure(f"{name}: ours", float(np.median(us_speed)), "comparisons/s"),
        Figure(f"{name}: imitation", float(np.median(their_speed)), "comparisons/s"),
        Figure(
            f"{name}: ours / imitation",
            float(np.median(ratio)),
            "x",
            float(np.ptp(ratio)) / 2,
            at_least=BARS[kind],
        ),
    ]
    if kind == "cnn":
        beside, whole = np.max(peaks, axis=0)
        figures += [
            Figure(f"{name}: ours in bfloat16", us["bfloat16"]),
            Figure(f"{name}: ours, resident beside the data", beside, "bytes", at_most=BAR_BYTES),
            Figure(f"{name}: imitation, resident", whole, "bytes"),
        ]
    return figures


def main() -> int:
    """Measure and report; 1 if ours is too slow or too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few comparisons, once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        kind, *numbers = options.side
        print(json.dumps(ours(kind, *map(int, numbers))))
        return 0
    python = install()
    repeats = 1 if options.quick else options.repeats
    figures = []
    for kind in ("mlp", "cnn"):
        for members in (1, 3):
            figures += compare(kind, members, options.quick, repeats, python)
    return report("versus_imitation", figures)


if __name__ == "__main__":
    sys.exit(main())

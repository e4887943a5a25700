"""Resident memory of fitting and training on 5,500 preferences of 64x64x3 segments.

    python -m benchmarks.memory [--quick] [--preferences 5500]

Every size runs in a process of its own: the default agent on CoinRun, its rollout, the ensemble
and its labels, which are about StarPilot: its frames compress least of those that were tried. A
preference is two segments of 25 frames, 0.61 MB. Growth is measured where every segment is kept as
it is, up to 3,000 preferences, and beyond, with all labels kept (`reward.buffer: null`), where
segments are compressed. With the default buffer memory no longer grows there.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure import Figure, report

if TYPE_CHECKING:
    from learner.preferences import LabelledPairs

BAR_GIB = 4.0
LENGTH = 25
GAME = "procgen/starpilot"
_GIB = 2**30
_SEGMENT_BYTES = 2 * LENGTH * (64 * 64 * 3 + 8)
_DEFAULT, _ALL = "default", "all"


def peak(preferences: int, buffer: str) -> float:
    """Peak resident bytes of a fresh process that fits so many preferences."""
    command = [sys.executable, "-m", "benchmarks.memory", "--measure", str(preferences), buffer]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(printed.splitlines()[-1])


def played_labels(preferences: int, newest: int | None) -> LabelledPairs:
    """Answers about segments of a game played at random; of older ones than `newest` none stays."""
    from learner.config import EnvironmentConfig
    from learner.envs.registry import make
    from learner.preferences import PreferenceRow, SegmentStore, labelled_pairs

    environments = make(EnvironmentConfig(id=GAME), num_envs=64, seed=0)
    seen, rng = environments.reset(), np.random.default_rng(0)
    store = SegmentStore(LENGTH)
    rows: list[PreferenceRow] = []
    while len(rows) < preferences:
        frames, actions = [], []
        for _ in range(LENGTH):
            actions.append(rng.integers(15, size=64))
            frames.append(seen.copy())
            seen, *_ = environments.step(actions[-1])
        shown, done = np.stack(frames), np.stack(actions)
        for pair in range(len(rows), min(len(rows) + 32, preferences)):
            for key in (2 * pair, 2 * pair + 1):
                store.add(key, shown[:, key % 64], done[:, key % 64], f"episode {key}")
            answer = "a" if rng.random() < 0.5 else "b"
            rows.append(PreferenceRow(pair, pair, 0, 2 * pair, 2 * pair + 1, answer))
        store.keep(labelled_pairs(rows, store, newest=newest).keys)
    environments.close()
    return labelled_pairs(rows, store, newest=newest)


def measure(preferences: int, buffer: str) -> float:
    """Fit so many preferences twice, pay a rollout, train the agent; peak resident bytes."""
    from benchmarks.reward_training import make_ensemble
    from learner.agents.ppo import make_agent
    from learner.config import parse_config
    from learner.envs.registry import make
    from learner.rewards.fitting import fit

    kept = {"buffer": None} if buffer == _ALL else {}
    # Fewer passes and batches than by default take less time and as much memory.
    config = parse_config({"agent": {"n_epochs": 1}, "reward": {"max_batches": 5, **kept}})
    environments = make(config.environment, num_envs=config.environment.num_envs, seed=0)
    environments.reset()
    agent = make_agent(config, environments)
    ensemble = make_ensemble(config.reward, agent.compute)
    labels = played_labels(preferences, config.reward.buffer)
    for _ in range(2):
        fit(ensemble, labels, config.reward, np.random.default_rng(0))
        rollout = agent.collect(0, capture=True)
        agent.improve(rollout, ensemble.rewards(rollout.observations))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def main() -> int:
    """Measure and report; 1 if memory is over its bar or grows faster than its labels."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the preferences")
    parser.add_argument("--preferences", type=int, default=5500)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        preferences, buffer = options.measure
        print(measure(int(preferences), buffer))
        return 0
    scale = 10 if options.quick else 1
    counts = np.array([750, 1500, 3000]) // scale
    most = options.preferences // scale
    peaks = np.array([peak(int(count), _DEFAULT) for count in counts])
    buffered, whole = peak(most, _DEFAULT), peak(most, _ALL)
    slope, base = np.polyfit(counts, peaks, 1)
    straight = base + slope * counts
    beyond = (whole - peaks[-1]) / (most - counts[-1])
    named = {f"{count:,} preferences": value for count, value in zip(counts, peaks, strict=True)}
    named |= {f"{most:,}, the newest 3,000 kept": buffered, f"{most:,}, all kept": whole}
    figures = [
        Figure(f"peak at {name}", float(value / _GIB), "GiB", at_most=BAR_GIB)
        for name, value in named.items()
    ]
    figures += [
        Figure("growth per preference, up to 3,000", slope / 2**20, "MiB"),
        Figure("growth / bytes of its two segments", slope / _SEGMENT_BYTES, "x", at_most=1.1),
        Figure("growth per preference, beyond", beyond / 2**20, "MiB"),
        Figure("without labels", base / _GIB, "GiB"),
        Figure(
            "largest departure from a line", float(np.abs(peaks / straight - 1).max()), at_most=0.05
        ),
    ]
    return report("memory", figures)


if __name__ == "__main__":
    sys.exit(main())

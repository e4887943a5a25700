"""Resident memory of fitting and training on 5,500 preferences of 64x64x3 segments.

    python -m benchmarks.memory [--quick] [--preferences 5500]

Every size runs in a process of its own: the default agent on CoinRun, its rollout, the ensemble
and its labels. A preference is two segments of 25 frames, 0.61 MB. Growth is measured below
`reward.buffer` (3,000), where every label is kept; beyond it, memory no longer grows.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import numpy as np

from benchmarks.measure import Figure, report

BAR_GIB = 4.0
_GIB = 2**30
_SEGMENT_BYTES = 2 * 25 * (64 * 64 * 3 + 8)


def peak(preferences: int) -> float:
    """Peak resident bytes of a fresh process that fits so many preferences."""
    command = [sys.executable, "-m", "benchmarks.memory", "--measure", str(preferences)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(printed.splitlines()[-1])


def measure(preferences: int) -> float:
    """Fit so many preferences twice, pay a rollout, train the agent; peak resident bytes."""
    from benchmarks.reward_training import make_ensemble, synthetic_labels
    from learner.agents.ppo import make_agent
    from learner.config import parse_config
    from learner.envs.registry import make
    from learner.rewards.fitting import fit

    config = parse_config({"reward": {"max_batches": 5}})
    environments = make(config.environment, num_envs=config.environment.num_envs, seed=0)
    environments.reset()
    agent = make_agent(config, environments)
    ensemble = make_ensemble(config.reward, agent.compute)
    labels = synthetic_labels(preferences, newest=config.reward.buffer)
    for _ in range(2):
        fit(ensemble, labels, config.reward, np.random.default_rng(0))
        rollout = agent.collect(0, capture=True)
        agent.improve(rollout, ensemble.rewards(rollout.observations))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def main() -> int:
    """Measure and report; 1 if memory is over its bar or grows faster than its labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the preferences")
    parser.add_argument("--preferences", type=int, default=5500)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(measure(options.measure))
        return 0
    scale = 10 if options.quick else 1
    counts = np.array([750, 1500, 3000]) // scale
    peaks = np.array([peak(int(count)) for count in counts])
    whole = peak(options.preferences // scale)
    slope, base = np.polyfit(counts, peaks, 1)
    straight = base + slope * counts
    figures = [
        Figure(f"peak at {count:,} preferences", float(value / _GIB), "GiB", at_most=BAR_GIB)
        for count, value in zip(
            [*counts.tolist(), options.preferences // scale], [*peaks, whole], strict=True
        )
    ]
    figures += [
        Figure("growth per preference", slope / 2**20, "MiB"),
        Figure("growth / bytes of its two segments", slope / _SEGMENT_BYTES, "x", at_most=1.1),
        Figure("without labels", base / _GIB, "GiB"),
        Figure(
            "largest departure from a line", float(np.abs(peaks / straight - 1).max()), at_most=0.05
        ),
    ]
    return report("memory", figures)


if __name__ == "__main__":
    sys.exit(main())

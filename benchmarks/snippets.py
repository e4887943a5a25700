"""Reward training on snippets of 1,000 demonstrations: batches beside one pair at a time.

    python -m benchmarks.snippets [--quick] [--pairs 2000] [--repeats 3]

Christiano's network on pairs of 32 steps, every second frame seen, as studies train it. The
loop is how T-REX's code and the seed study train: Adam takes a step on each pair, its two snippets
go through the network one after the other, as float32 in channels-first layout, and the loss is
read back. Ours is a whole fit, with its looks at held-out pairs, normalisation and metrics. Both
draw from the same snippets and take turns in one process.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import Figure, report
from learner.config import RewardConfig
from learner.devices import Compute, find_device, keep_large_blocks, seconds_per_step
from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.rankings.orders import by_true_return
from learner.rankings.snippets import SnippetConfig, draw_snippets
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.fitting import fit
from learner.rewards.loss import preference_loss

BAR = 8.0
DEMONSTRATIONS = 1000
IMAGES: gym.Space[Any] = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
SNIPPETS = SnippetConfig(min_length=32, max_length=32, stride=2)


def labelled_snippets(pairs: int, steps: int = 40) -> LabelledPairs:
    """Pairs of snippets of random demonstrations; the better show more red."""
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 128, (DEMONSTRATIONS, steps, 64, 64, 3), dtype=np.uint8)
    returns = rng.random(DEMONSTRATIONS)
    shown[:, :, 24:40, 24:40, 0] = (255 * returns).astype(np.uint8)[:, None, None, None]
    config = SNIPPETS.model_copy(update={"pairs": pairs})
    rewards = [np.zeros(steps, np.float32)] * DEMONSTRATIONS
    drawn = draw_snippets(by_true_return(returns), rewards, config, rng)
    store, rows = SegmentStore(config.frames), []
    actions = np.zeros(steps, np.int64)
    for number, target in enumerate(drawn.targets):
        for side in (0, 1):
            demo, start = (int(a[number, side]) for a in (drawn.demonstrations, drawn.starts))
            window = slice(start, start + config.max_length, config.stride)
            key = 2 * number + side
            store.add(key, shown[demo, window], actions[window], f"{demo}", copy=False)
        rows.append(
            PreferenceRow(number, number, 0, 2 * number, 2 * number + 1, "a" if target else "b")
        )
    return labelled_pairs(rows, store)


def train_one_by_one(
    ensemble: RewardEnsemble, labels: LabelledPairs, order: NDArray[np.int64]
) -> float:
    """Train pair by pair; returns the mean loss."""
    network, optimiser = ensemble.networks[0], ensemble.optimisers[0]
    network.to(memory_format=torch.contiguous_format).train()  # type: ignore[call-overload]
    device, losses = ensemble.device, []
    floor = torch.tensor(1e-6, device=device)
    for pair in order:
        optimiser.zero_grad()
        returns = []
        for segment in labels.pairs[pair]:
            frames = labels.store[labels.keys[segment]].observations
            seen = torch.from_numpy(np.transpose(frames, (0, 3, 1, 2)).astype(np.float32))
            rewards = network(seen.to(device) / 255, torch.zeros(len(frames), 0, device=device))
            returns.append(rewards.sum())
        target = torch.tensor(labels.targets[pair], device=device)
        loss = preference_loss(returns[0] - returns[1], target, floor)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def batched_seconds(
    ensemble: RewardEnsemble, labels: LabelledPairs, config: RewardConfig
) -> tuple[float, int]:
    """Seconds of one fit, and the pairs it trained on."""
    started = time.perf_counter()
    batches = sum(fit(ensemble, labels, config, np.random.default_rng(0)).batches)
    return time.perf_counter() - started, batches * config.batch_size


def _config(batch: int, pairs: int) -> RewardConfig:
    """As studies fit, one network; the loop has no noise and no dropout, so neither have we."""
    return RewardConfig(
        members=1,
        bootstrap=False,
        holdout=0.2,
        buffer=None,
        error_floor=0.0,
        input_noise=0.0,
        dropout=0.0,
        batch_size=batch,
        initial_epochs=1,
        initial_max_batches=max(1, round(0.75 * pairs / batch)),
    )


def _ensemble(config: RewardConfig, compute: Compute) -> RewardEnsemble:
    return RewardEnsemble(
        IMAGES, gym.spaces.Discrete(15), config, 0, compute.device, compute.precision
    )


def measure(pairs: int, looped: int, repeats: int, batch: int) -> list[Figure]:
    """Both ways in turn, the medians of their rates."""
    labels = labelled_snippets(pairs)
    config = _config(batch, pairs)
    compute = _fastest(config, labels)
    ours, theirs = [], []
    with compute.active():
        for repeat in range(repeats):
            seconds, trained = batched_seconds(_ensemble(config, compute), labels, config)
            ours.append(2 * trained / seconds)
            plain = Compute(compute.device, "float32", compute.threads)
            order = np.random.default_rng(repeat).permutation(len(labels))[:looped]
            started = time.perf_counter()
            train_one_by_one(_ensemble(config, plain), labels, order)
            theirs.append(2 * looped / (time.perf_counter() - started))
    ratios = np.array(ours) / np.array(theirs)
    return [
        _figure("batched", np.array(ours), "snippets/s"),
        _figure("one pair at a time", np.array(theirs), "snippets/s"),
        _figure("ratio", ratios, "x", at_least=BAR),
        Figure("batch", batch, "pairs"),
        Figure("threads", compute.threads),
        Figure("bfloat16", float(compute.precision == "bfloat16")),
    ]


def _figure(name: str, values: NDArray[np.float64], unit: str, **bar: float) -> Figure:
    """The median of some repetitions, with half their range."""
    return Figure(name, float(np.median(values)), unit, float(np.ptp(values) / 2), **bar)


def _fastest(config: RewardConfig, labels: LabelledPairs) -> Compute:
    """Threads and precision that train fastest here."""
    device = find_device("auto")
    keep_large_blocks()
    few = config.model_copy(update={"initial_max_batches": 3})
    some = labels.select(np.arange(min(len(labels), 8 * config.batch_size)))

    def seconds(compute: Compute) -> float:
        return seconds_per_step(
            compute, lambda: fit(_ensemble(few, compute), some, few, np.random.default_rng(0))
        )

    threads = sorted({1, torch.get_num_threads()})
    candidates = [
        Compute(device, precision, count)
        for precision in ("float32", "bfloat16")
        for count in threads
    ]
    return min(candidates, key=seconds)


def main() -> int:
    """Parse the command line, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs, one repeat")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    given = parser.parse_args()
    pairs, repeats = (400, 1) if given.quick else (given.pairs, given.repeats)
    return report("snippets", measure(pairs, max(40, pairs // 10), repeats, given.batch))


if __name__ == "__main__":
    sys.exit(main())

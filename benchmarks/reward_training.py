"""Training a reward ensemble: batches of pairs beside a loop over members and pairs.

    python -m benchmarks.reward_training [--quick] [--pairs 2000] [--repeats 5]

Three Christiano members on labelled pairs of 25 steps of 64x64x3, with input noise and dropout.
The loop is how the public implementations train: one member and one pair at a time, float32,
noise drawn for each pixel, gradients added up over the batch, on as many threads as are fastest
for it. Ours is a whole fit, with its looks at the held-out labels, normalisation and metrics, on
threads and in a precision chosen as a run chooses them. Both take turns in one process, without
bootstrap, so that every pair of a batch is one that is evaluated.

A pair costs 0.35 GFLOP: 50 frames of 1.49 million multiplications forward, the same again for the
weights' gradient, and 0.55 million for that of the inputs. What share of the machine's fastest
matrix products that is says what batching can bring at most.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import Figure, median_figure, report
from learner.config import RewardConfig, RunConfig
from learner.devices import Compute, keep_large_blocks, seconds_per_step
from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.rewards.ensemble import Precision, RewardEnsemble
from learner.rewards.fitting import fit
from learner.rewards.loss import preference_loss
from learner.rewards.probe import choose_compute

BAR = 8.0
LENGTH = 25
LOSS_TOLERANCE = 1e-4
STEPS = 100  # of Adam, after which losses are compared
# Multiplications and additions of a pair: forward, gradient of the weights, and of the inputs of
# all layers but the first.
FLOP_PER_PAIR = 2 * 2 * LENGTH * (2 * 1_486_592 + 545_792)
MATRIX = 1024
IMAGES: gym.Space[Any] = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)


def synthetic_labels(pairs: int, seed: int = 0, newest: int | None = None) -> LabelledPairs:
    """Answers about random frames; the segment with more red squares is better.

    They arrive one by one, and segments of older answers than the `newest` are dropped.
    """
    rng = np.random.default_rng(seed)
    store, rows = SegmentStore(LENGTH), []
    actions = np.zeros(LENGTH, dtype=np.int64)
    for pair in range(pairs):
        red = rng.permutation(LENGTH)[:2]
        for side in (0, 1):
            frames = rng.integers(0, 128, (LENGTH, 64, 64, 3), dtype=np.uint8)
            frames[: red[side], 24:40, 24:40, 0] = 255
            store.add(2 * pair + side, frames, actions, f"episode {2 * pair + side}")
        answer = "a" if red[0] > red[1] else "b"
        rows.append(PreferenceRow(pair, pair, 0, 2 * pair, 2 * pair + 1, answer))
        if newest is not None and pair % 100 == 0:
            store.keep(labelled_pairs(rows, store, newest=newest).keys)
    return labelled_pairs(rows, store, newest=newest)


def make_ensemble(config: RewardConfig, compute: Compute) -> RewardEnsemble:
    """An untrained ensemble for 64x64x3 frames."""
    precision: Precision = compute.precision
    return RewardEnsemble(IMAGES, gym.spaces.Discrete(15), config, 0, compute.device, precision)


def train_in_a_loop(
    ensemble: RewardEnsemble, labels: LabelledPairs, batches: list[NDArray[np.int64]]
) -> int:
    """Train every member pair by pair; returns the number of pairs it took."""
    device, noise = ensemble.device, ensemble.config.input_noise
    floor = torch.tensor(ensemble.config.error_floor, device=device)
    for network, optimiser in zip(ensemble.networks, ensemble.optimisers, strict=True):
        network.to(memory_format=torch.contiguous_format).train()  # type: ignore[call-overload]
        for batch in batches:
            optimiser.zero_grad()
            for pair in batch:
                returns = []
                for segment in labels.pairs[pair]:
                    frames = labels.store[labels.keys[segment]].observations
                    seen = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 255
                    seen = seen.contiguous()
                    if noise:
                        seen = seen + noise * torch.randn_like(seen)
                    rewards = network(seen, seen.new_zeros((len(seen), 0)))
                    returns.append((rewards.sum(), rewards.square().mean() / 2))
                target = torch.tensor(labels.targets[pair], device=device)
                loss = preference_loss(returns[0][0] - returns[1][0], target, floor)
                penalty = returns[0][1] + returns[1][1]
                total = (loss + ensemble.config.output_penalty * penalty) / len(batch)
                total.backward()
            optimiser.step()
    return len(ensemble.networks) * sum(len(batch) for batch in batches)


def ours_per_second(labels: LabelledPairs, config: RewardConfig, compute: Compute) -> float:
    """Pairs trained on per second of a whole fit."""
    ensemble = make_ensemble(config, compute)
    started = time.perf_counter()
    with compute.active():
        result = fit(ensemble, labels, config, np.random.default_rng(0))
    return sum(result.pairs) / (time.perf_counter() - started)


def fastest_threads(labels: LabelledPairs, config: RewardConfig, device: str) -> int:
    """One thread or all, whichever trains the loop faster."""
    alone = config.model_copy(update={"members": 1})

    def seconds(threads: int) -> float:
        compute = Compute(device, "float32", threads)
        ensemble = make_ensemble(alone, compute)
        return seconds_per_step(compute, lambda: train_in_a_loop(ensemble, labels, [np.arange(4)]))

    return min({1, os.cpu_count() or 1}, key=seconds)


def flops(compute: Compute) -> float:
    """Multiplications and additions per second in products of large matrices."""
    kind = torch.bfloat16 if compute.precision == "bfloat16" else torch.float32
    matrix = torch.rand(MATRIX, MATRIX, device=compute.device, dtype=kind)
    return 2 * MATRIX**3 / seconds_per_step(compute, lambda: matrix @ matrix)


def loop_per_second(
    labels: LabelledPairs, config: RewardConfig, compute: Compute, batches: int
) -> float:
    """Pairs trained on per second, pair by pair."""
    ensemble = make_ensemble(config, compute)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = [order[k * config.batch_size :][: config.batch_size] for k in range(batches)]
    started = time.perf_counter()
    with compute.active():
        pairs = train_in_a_loop(ensemble, labels, parts)
    return pairs / (time.perf_counter() - started)


def gradient_gap() -> float:
    """Largest difference between the gradients of one batch, relative to the largest gradient.

    Whole batches in float32, without noise, dropout, bootstrap and hold-out, from equal weights.
    Ours are read from Adam, whose running mean holds a tenth of the gradient after one step.
    """
    _, (ours, loop) = _equal_fits(batches=1)
    gaps: list[float] = []
    for mine, other in zip(ours.networks, loop.networks, strict=True):
        state = ours.optimisers[len(gaps)].state
        found = [state[p]["exp_avg"] / 0.1 for p in mine.parameters()]
        wanted = [p.grad for p in other.parameters() if p.grad is not None]
        most = max(float(one.abs().max()) for one in wanted)
        gap = [float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True)]
        gaps.append(max(gap) / most)
    return max(gaps)


def loss_gaps(batches: int) -> tuple[float, float]:
    """Largest differences after equal training, nats: of a member's loss, of a pair's."""
    labels, pair = _equal_fits(batches)
    ours, loop = (_losses(ensemble, labels) for ensemble in pair)
    members = np.abs(ours.mean(axis=1) - loop.mean(axis=1))
    return float(members.max()), float(np.abs(ours - loop).max())


def equality(steps: int) -> list[Figure]:
    """How far ours and the loop are apart after one step, and after some."""
    members, pairs = loss_gaps(steps)
    gaps = {
        "a gradient, of the largest": (gradient_gap(), ""),
        f"a member's loss after {steps} steps": (members, "nats"),
        f"a pair's loss after {steps} steps": (pairs, "nats"),
    }
    return [
        Figure(f"largest gap of {name}", gap, unit, at_most=LOSS_TOLERANCE)
        for name, (gap, unit) in gaps.items()
    ]


def _equal_fits(batches: int) -> tuple[LabelledPairs, tuple[RewardEnsemble, RewardEnsemble]]:
    """Both trained on the same whole batches, from equal weights."""
    labels = synthetic_labels(16, seed=1)
    config = RewardConfig(
        bootstrap=False, holdout=1e-6, dropout=0, input_noise=0, l2=0, adaptive_l2=False,
        batch_size=16, initial_epochs=batches,
    )  # fmt: skip
    compute = Compute("cpu", "float32", torch.get_num_threads())
    ours, loop = make_ensemble(config, compute), make_ensemble(config, compute)
    fit(ours, labels, config, np.random.default_rng(0))
    train_in_a_loop(loop, labels, [np.arange(16)] * batches)
    return labels, (ours, loop)


def _losses(ensemble: RewardEnsemble, labels: LabelledPairs) -> NDArray[np.float32]:
    """(K, P) losses without noise."""
    batch = labels.batch(labels.pairs.reshape(-1))
    returns = ensemble.returns(batch.observations, None, batch.valid)
    difference = torch.from_numpy(returns[:, ::2] - returns[:, 1::2])
    losses: NDArray[np.float32] = preference_loss(
        difference, torch.from_numpy(labels.targets), torch.tensor(0.1)
    ).numpy()
    return losses


def main() -> int:
    """Measure and report; 1 if batching is not worth it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few pairs, short fits")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    pairs, repeats, epochs = options.pairs, options.repeats, 1
    if options.quick:  # as many batches for each label, so that fixed costs weigh the same
        pairs, repeats, epochs = 128, 2, 4
    config = RewardConfig(bootstrap=False, initial_epochs=epochs, initial_max_batches=10_000)
    keep_large_blocks()  # as every run on images does; the loop gains by it too
    compute = choose_compute(RunConfig(reward=config), IMAGES, gym.spaces.Discrete(15))
    labels = synthetic_labels(pairs)
    threads = fastest_threads(labels, config, compute.device)
    print(f"ours: {compute}; loop: float32, {threads} threads")
    plain = Compute(compute.device, "float32", threads)
    noiseless = config.model_copy(update={"input_noise": 0.0})
    measured = np.array(
        [
            (
                ours_per_second(labels, config, compute),
                loop_per_second(labels, config, plain, batches=2),
                loop_per_second(labels, noiseless, plain, batches=2),
                flops(compute) / FLOP_PER_PAIR,
            )
            for _ in range(repeats)
        ]
    )
    ours, loop, quiet, most = measured.T
    figures = [
        median_figure("ours", ours, "pairs/s"),
        median_figure("loop over members and pairs", loop, "pairs/s"),
        median_figure("the same loop without input noise", quiet, "pairs/s"),
        median_figure("ours / loop", ours / loop, "x", at_least=BAR),
        median_figure("ours / loop without input noise", ours / quiet, "x"),
        median_figure("matrix products alone, at their fastest", most, "pairs/s"),
        median_figure("these / loop: more cannot be had", most / loop, "x"),
        *equality(20 if options.quick else STEPS),
    ]  # fmt: skip
    return report("reward_training", figures)


if __name__ == "__main__":
    sys.exit(main())

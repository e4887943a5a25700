"""Training a reward ensemble: batches of pairs beside a loop over members and pairs.

    python -m benchmarks.reward_training [--quick] [--pairs 2000] [--repeats 5]

Three Christiano members on labelled pairs of 25 steps of 64x64x3, with input noise and dropout.
The loop is how the public implementations train: one member and one pair at a time, float32,
noise drawn for each pixel, gradients added up over the batch. Ours is a whole fit, with its
looks at the held-out labels, normalisation and metrics. Both take turns in one process.
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
from learner.rewards.ensemble import Precision, RewardEnsemble
from learner.rewards.fitting import fit
from learner.rewards.loss import preference_loss

BAR = 8.0
LENGTH = 25
LOSS_TOLERANCE = 1e-4
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


def probe(config: RewardConfig) -> Compute:
    """The fastest way found to train one member here, as a run would choose it."""
    device = find_device("auto")
    choices = [Compute(device, "float32", 1), Compute(device, "bfloat16", 1)]
    choices += [Compute(device, choice.precision, torch.get_num_threads()) for choice in choices]
    labels = synthetic_labels(16)
    small = config.model_copy(update={"initial_max_batches": 1, "members": 1})

    def seconds(compute: Compute) -> float:
        def step() -> None:
            fit(make_ensemble(small, compute), labels, small, np.random.default_rng(0))

        return seconds_per_step(compute, step)

    return min(choices, key=seconds)


def ours_per_second(labels: LabelledPairs, config: RewardConfig, compute: Compute) -> float:
    """Pairs trained on per second of a whole fit."""
    ensemble = make_ensemble(config, compute)
    started = time.perf_counter()
    with compute.active():
        result = fit(ensemble, labels, config, np.random.default_rng(0))
    return sum(result.batches) * config.batch_size / (time.perf_counter() - started)


def loop_per_second(
    labels: LabelledPairs, config: RewardConfig, compute: Compute, batches: int
) -> float:
    """Pairs trained on per second, pair by pair, in float32 with as many threads."""
    plain = Compute(compute.device, "float32", compute.threads)
    ensemble = make_ensemble(config, plain)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = [order[k * config.batch_size :][: config.batch_size] for k in range(batches)]
    started = time.perf_counter()
    with plain.active():
        pairs = train_in_a_loop(ensemble, labels, parts)
    return pairs / (time.perf_counter() - started)


def loss_gap() -> float:
    """Largest difference in loss between the two after equal training in float32.

    Whole-batch steps without noise, dropout, bootstrap and hold-out, from equal weights.
    """
    labels = synthetic_labels(16, seed=1)
    config = RewardConfig(
        bootstrap=False, holdout=1e-6, dropout=0, input_noise=0, l2=0, adaptive_l2=False,
        batch_size=16, initial_epochs=5,
    )  # fmt: skip
    compute = Compute("cpu", "float32", torch.get_num_threads())
    ours, loop = make_ensemble(config, compute), make_ensemble(config, compute)
    fit(ours, labels, config, np.random.default_rng(0))
    train_in_a_loop(loop, labels, [np.arange(16)] * 5)
    losses = [_losses(ensemble, labels) for ensemble in (ours, loop)]
    return float(np.abs(losses[0] - losses[1]).max())


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
    config = RewardConfig(initial_epochs=epochs, initial_max_batches=10_000)
    keep_large_blocks()  # as every run on images does; the loop gains by it too
    compute = probe(config)
    print(f"ours: {compute.precision} on {compute.device}, {compute.threads} threads")
    labels = synthetic_labels(pairs)
    noiseless = config.model_copy(update={"input_noise": 0.0})
    measured = np.array(
        [
            (
                ours_per_second(labels, config, compute),
                loop_per_second(labels, config, compute, batches=2),
                loop_per_second(labels, noiseless, compute, batches=2),
            )
            for _ in range(repeats)
        ]
    )
    ours, loop, quiet = measured.T
    figures = [
        _figure("ours", ours, "pairs/s"),
        _figure("loop over members and pairs", loop, "pairs/s"),
        _figure("the same loop without input noise", quiet, "pairs/s"),
        _figure("ours / loop", ours / loop, "x", at_least=BAR),
        _figure("ours / loop without input noise", ours / quiet, "x"),
        Figure("largest gap in loss", loss_gap(), "nats", at_most=LOSS_TOLERANCE),
    ]
    return report("reward_training", figures)


def _figure(name: str, values: NDArray[np.float64], unit: str, **bar: float) -> Figure:
    """The median of some repetitions, with half their range."""
    return Figure(name, float(np.median(values)), unit, float(np.ptp(values)) / 2, **bar)


if __name__ == "__main__":
    sys.exit(main())

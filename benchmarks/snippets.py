"""Reward training on snippets of 1,000 demonstrations: batches beside one pair at a time.

    python -m benchmarks.snippets [--quick] [--pairs 6400] [--repeats 3]

Christiano's network on pairs of 32 steps, every second frame seen, of demonstrations of 60 to
140 steps. The loop is how T-REX's code and the seed study train: Adam takes a step on each pair,
its two snippets go through the network one after the other, as float32 in channels-first layout,
and the loss is read back. Ours is a whole fit as studies fit, with its looks at held-out pairs,
normalisation and metrics: pairs come in groups among few demonstrations, and a batch computes
each of their frames once. Both learn the same pairs, in turn, in one process, each with the
threads that suit it; then both are judged on other demonstrations. A last fit draws pairs one by
one, so that what sharing frames brings can be told from what batches bring.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import Figure, median_figure, report
from learner.config import RewardConfig
from learner.devices import Compute, Precision, find_device, keep_large_blocks, seconds_per_step
from learner.preferences import LabelledPairs
from learner.rankings.orders import Ranking, by_true_return
from learner.rankings.snippets import (
    Sharing,
    SnippetConfig,
    Snippets,
    draw_snippets,
    draw_together,
    join,
)
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.fitting import fit
from learner.rewards.holdout import HoldOut
from learner.rewards.loss import preference_loss
from learner.study.pairs import label

BAR = 8.0
DEMONSTRATIONS = 1000
IMAGES: gym.Space[Any] = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
SNIPPETS = SnippetConfig(min_length=32, max_length=32, stride=2)
SHARING = Sharing()
HELD = 0.2
JUDGED = 200  # pairs of other demonstrations

Draw = Callable[..., Snippets]
Train = Callable[[RewardEnsemble], int]
"""Trains a model and returns how many pairs it learned from."""


@dataclass(frozen=True)
class Demonstrations:
    """Noise in which the better ones show more red.

    Attributes:
        observations: (steps, 64, 64, 3) uint8, one demonstration behind the other.
        offsets: (demonstrations + 1,) first step of each.
        returns: (demonstrations,) what they are ranked by.
    """

    observations: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    returns: NDArray[np.float64]

    def pairs(self, draw: Draw, count: int, held: float = 0.0) -> LabelledPairs:
        """Labelled pairs of snippets; a share of them among as large a share of demonstrations."""
        rng = np.random.default_rng(0)
        first = round(held * len(self.returns))
        parts = [(np.arange(first, len(self.returns)), round((1 - held) * count))]
        if first:
            parts.append((np.arange(first), round(held * count)))
        drawn = join([self._among(members, draw, pairs, rng) for members, pairs in parts])
        actions = np.zeros(len(self.observations), np.int64)
        return label(drawn, self.observations, actions, self.offsets, SNIPPETS)

    def _among(
        self, members: NDArray[np.int64], draw: Draw, pairs: int, rng: np.random.Generator
    ) -> Snippets:
        rewards = [np.zeros(steps, np.float32) for steps in np.diff(self.offsets)[members]]
        config = SNIPPETS.model_copy(update={"pairs": pairs})
        drawn = draw(by_true_return(self.returns[members]), rewards, config, rng)
        return replace(drawn, demonstrations=members[drawn.demonstrations])


def draw_groups(
    ranking: Ranking,
    rewards: Sequence[NDArray[np.float32]],
    config: SnippetConfig,
    rng: np.random.Generator,
) -> Snippets:
    """As studies draw."""
    return draw_together(ranking, rewards, config, SHARING, rng)


def make_demonstrations(count: int, seed: int) -> Demonstrations:
    """Demonstrations of 60 to 140 steps."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(60, 141, count))])
    shown = rng.integers(0, 128, (offsets[-1], 64, 64, 3), dtype=np.uint8)
    returns = rng.random(count)
    red = np.repeat((255 * returns).astype(np.uint8), np.diff(offsets))
    shown[:, 24:40, 24:40, 0] = red[:, None, None]
    return Demonstrations(shown, offsets, returns)


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


def accuracy(ensemble: RewardEnsemble, labels: LabelledPairs) -> float:
    """Share of pairs that are ordered rightly."""
    batch = labels.batch(labels.pairs.reshape(-1))
    returns = ensemble.returns(batch.observations, None, batch.valid)[0].reshape(-1, 2)
    return float(np.mean((returns[:, 0] > returns[:, 1]) == (labels.targets > 0.5)))


def _config(batch: int) -> RewardConfig:
    """As studies fit, one network; the loop has no noise and no dropout, so neither have we."""
    return RewardConfig(
        members=1,
        bootstrap=False,
        holdout=HELD,
        buffer=None,
        error_floor=0.0,
        input_noise=0.0,
        dropout=0.0,
        batch_size=batch,
        initial_epochs=1,
        initial_max_batches=100_000,
    )


def _ensemble(compute: Compute) -> RewardEnsemble:
    actions = gym.spaces.Discrete(15)
    return RewardEnsemble(IMAGES, actions, _config(1), 0, compute.device, compute.precision)


@dataclass(frozen=True)
class Way:
    """A way to train, as it runs fastest here."""

    name: str
    compute: Compute
    train: Train

    def run(self, judged: LabelledPairs) -> tuple[float, float, float]:
        """Snippets per second, seconds, and accuracy on other demonstrations."""
        model = _ensemble(self.compute)
        with self.compute.active():
            started = time.perf_counter()
            trained = self.train(model)
            seconds = time.perf_counter() - started
        return 2 * trained / seconds, seconds, accuracy(model, judged)


def _fit(labels: LabelledPairs, batch: int) -> Train:
    """A whole fit, one pass; the pairs held out count for nothing."""
    config = _config(batch)
    last = round(HELD * DEMONSTRATIONS)
    sides = {name: int(name.split("-")[-1]) < last for name in set(labels.episodes)}

    def train(model: RewardEnsemble) -> int:
        model.holdouts = [HoldOut(dict(sides))]
        fit(model, labels, config, np.random.default_rng(0))
        return sum(not sides[labels.episodes[first]] for first, _ in labels.pairs)

    return train


def _loop(labels: LabelledPairs, count: int) -> Train:
    def train(model: RewardEnsemble) -> int:
        train_one_by_one(model, labels, np.random.default_rng(0).permutation(len(labels))[:count])
        return count

    return train


def ways(pairs: int) -> list[Way]:
    """Ours, ours without sharing, and the loop, each as it runs fastest here."""
    known = make_demonstrations(DEMONSTRATIONS, 0)
    shared = known.pairs(draw_groups, pairs, HELD)
    single = known.pairs(draw_snippets, pairs // 8, HELD)
    few = known.pairs(draw_groups, 2 * SHARING.pairs, HELD)
    looped = pairs // 8
    return [
        _fastest("shared frames", _fit(shared, SHARING.pairs), _fit(few, SHARING.pairs)),
        _fastest("drawn one by one", _fit(single, 32), _fit(few, 32)),
        _fastest("one pair at a time", _loop(shared, looped), _loop(shared, 40), plain=True),
    ]


def measure(pairs: int, repeats: int) -> list[Figure]:
    """Three ways in turn, the medians of their rates."""
    judged = make_demonstrations(100, 1).pairs(draw_snippets, JUDGED)
    known = ways(pairs)
    found = np.array([[way.run(judged) for way in known] for _ in range(repeats)])
    rates = found[..., 0]
    figures = [median_figure(way.name, rates[:, k], "snippets/s") for k, way in enumerate(known)]
    figures.append(median_figure("ratio", rates[:, 0] / rates[:, 2], "x", at_least=BAR))
    figures.append(median_figure("ratio without sharing", rates[:, 1] / rates[:, 2], "x"))
    for k, way in enumerate(known):
        seconds = median_figure(f"seconds, {way.name}", found[:, k, 1], "s")
        right = median_figure(f"accuracy after them, {way.name}", found[:, k, 2], "")
        bfloat = Figure(f"bfloat16, {way.name}", float(way.compute.precision == "bfloat16"))
        figures += [seconds, right, Figure(f"threads, {way.name}", way.compute.threads), bfloat]
    return figures


def _fastest(name: str, train: Train, few: Train, *, plain: bool = False) -> Way:
    """A way with the threads and the precision that suit it; the plain loop stays float32."""
    device = find_device("auto")
    keep_large_blocks()
    precisions: tuple[Precision, ...] = ("float32",) if plain else ("float32", "bfloat16")
    candidates = [
        Compute(device, precision, count)
        for precision in precisions
        for count in sorted({1, torch.get_num_threads()})
    ]
    best = min(candidates, key=lambda one: seconds_per_step(one, lambda: few(_ensemble(one))))
    return Way(name, best, train)


def main() -> int:
    """Parse the command line, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs, one repeat")
    parser.add_argument("--pairs", type=int, default=6400)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    pairs, repeats = (1600, 1) if given.quick else (given.pairs, given.repeats)
    return report("snippets", measure(pairs, repeats))


if __name__ == "__main__":
    sys.exit(main())

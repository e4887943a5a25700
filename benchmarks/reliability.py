"""A simulated crowd with a coin and an adversary: who is found out, and what weighting gains.

    python -m benchmarks.reliability [--quick]

Six people with reliabilities .98 .95 .90 .80 .50 .10 answer pairs of segments. First, every pair is
answered by all of them, and one-coin Dawid-Skene and Crowd-BT estimate their reliabilities. Then
few pairs are answered by two of them each, and reward models are fitted to those answers: with the
fixed error floor, with learned reliabilities, and with the true ones. Accuracy is on fresh pairs,
against the true preference. Exit status 1: a bar is not met.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from learner.config import RewardConfig
from learner.preferences import LabelledPairs, PreferenceRow, SegmentStore, labelled_pairs
from learner.reliability import Answers, crowd_bradley_terry, one_coin
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.fitting import fit

RELIABILITIES = (0.98, 0.95, 0.90, 0.80, 0.50, 0.10)
PEOPLE = len(RELIABILITIES)
ADVERSARY_BAR = 0.2
"""Most that the adversary's reliability may be estimated at, by any method and in any seed."""
ITEMS, ANSWERED_BY_ALL = 60, 2000
LENGTH, NUMBERS, PAIRS, TESTED = 8, 6, 600, 2000
FITS = 4  # each weighs by what those before it have learned
ARMS = ("fixed floor", "learned", "true reliabilities")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """One reward model: accuracy on fresh pairs, and the reliabilities it has learned."""

    accuracy: float
    learned: Floats


def everybody(seed: int) -> dict[str, Floats]:
    """Estimated reliabilities where everybody answers every pair, by method."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=ITEMS)
    pairs = np.stack([rng.choice(ITEMS, 2, replace=False) for _ in range(ANSWERED_BY_ALL)])
    first, second = np.repeat(pairs, PEOPLE, axis=0).T
    person = np.tile(np.arange(PEOPLE), len(pairs))
    right = rng.random(len(person)) < np.array(RELIABILITIES)[person]
    answers = Answers(first, second, person, (scores[first] > scores[second]) == right)
    return {
        "one-coin Dawid-Skene": one_coin(answers).accuracy,
        "Crowd-BT": crowd_bradley_terry(answers).accuracy,
    }


def true_returns(observations: NDArray[np.float32]) -> Floats:
    """(n,) of (n, steps, numbers): a reward that no line fits."""
    rewards = (
        observations[..., 0] + np.abs(observations[..., 1]) - np.tanh(2 * observations[..., 2])
    )
    returns: Floats = rewards.sum(axis=1).astype(np.float64)
    return returns


def few_answers(rng: np.random.Generator) -> LabelledPairs:
    """Pairs of fresh segments, each answered by two people."""
    store = SegmentStore(LENGTH)
    seen = rng.normal(size=(2 * PAIRS, LENGTH, NUMBERS)).astype(np.float32)
    worth = true_returns(seen)
    for key, observations in enumerate(seen):
        store.add(key, observations, np.zeros(LENGTH, dtype=np.int64), f"episode {key}")
    rows: list[PreferenceRow] = []
    for pair in range(PAIRS):
        first, second = 2 * pair, 2 * pair + 1
        for person in rng.choice(PEOPLE, 2, replace=False):
            right = rng.random() < RELIABILITIES[person]
            answer = "a" if (worth[first] > worth[second]) == right else "b"
            rows.append(PreferenceRow(len(rows) + 1, pair, int(person), first, second, answer))
    return labelled_pairs(rows, store)


def fit_arm(arm: str, labels: LabelledPairs, seed: int) -> Fitted:
    """Fit one kind of reward model and test it."""
    config = RewardConfig(
        network="mlp",
        hidden=(32, 32),
        learn_teacher_noise=arm != "fixed floor",
        learning_rate=3e-3,
        batch_size=32,
        dropout=0.0,
        initial_max_batches=150,
        max_batches=150,
        warm_start=False,
    )
    space = gym.spaces.Box(-np.inf, np.inf, (NUMBERS,), np.float32)
    ensemble = RewardEnsemble(space, gym.spaces.Discrete(2), config, seed)
    rng = np.random.default_rng(seed)
    truth = {person: 2 * (1 - share) for person, share in enumerate(RELIABILITIES)}
    for _ in range(FITS):
        if arm == "true reliabilities":
            ensemble.teacher_noise.update(truth)
        fit(ensemble, labels, config, rng)
    fresh = np.random.default_rng(seed + 10_000)
    shown = fresh.normal(size=(2 * TESTED, LENGTH, NUMBERS)).astype(np.float32)
    predicted = ensemble.rewards(shown, np.zeros(shown.shape[:2], dtype=np.int64)).sum(axis=1)
    true = true_returns(shown)
    agree = (predicted[::2] > predicted[1::2]) == (true[::2] > true[1::2])
    learned = [1 - ensemble.teacher_noise.get(person, 0.1) / 2 for person in range(PEOPLE)]
    return Fitted(float(agree.mean()), np.array(learned))


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % t interval over seeds."""
    mean = float(np.mean(values))
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return mean, mean - float(half), mean + float(half)


def ranked(estimates: Floats) -> bool:
    """Whether the people but the adversary are in their true order."""
    return bool((np.diff(estimates[:-1]) < 0).all())


def report(crowd: dict[str, list[Floats]], arms: dict[str, list[Fitted]]) -> bool:
    """Print what was found; whether every bar is met."""
    estimates = crowd | {"reward model": [one.learned for one in arms["learned"]]}
    print(f"{'reliability':24}" + "".join(f"{share:>7}" for share in RELIABILITIES))
    for name, found in estimates.items():
        means = np.mean(found, axis=0)
        orders = sum(ranked(one) for one in found)
        print(
            f"{name:24}"
            + "".join(f"{v:7.3f}" for v in means)
            + f"   in order {orders}/{len(found)}"
        )
    for arm, found_arm in arms.items():
        mean, low, high = interval([one.accuracy for one in found_arm])
        print(f"accuracy, {arm:22} {mean:.3f}  [{low:.3f}, {high:.3f}]")
    gains = [w.accuracy - u.accuracy for w, u in zip(arms["learned"], arms[ARMS[0]], strict=True)]
    mean, low, high = interval(gains)
    print(
        f"gain of weighting                {mean:.3f}  [{low:.3f}, {high:.3f}], {len(gains)} seeds"
    )
    worst = {name: max(float(one[-1]) for one in found) for name, found in estimates.items()}
    order = {name: ranked(np.mean(found, axis=0)) for name, found in estimates.items()}
    met = low > 0 and all(order.values()) and max(worst.values()) < ADVERSARY_BAR
    result = {
        "gain": mean,
        "gain_interval": [low, high],
        "worst_adversary": worst,
        "mean_in_order": order,
        "accuracy": {
            arm: float(np.mean([one.accuracy for one in found])) for arm, found in arms.items()
        },
        "met": met,
    }
    print(json.dumps(result))
    return met


def main() -> None:
    """Run the simulation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 seeds instead of 6")
    seeds = range(3 if parser.parse_args().quick else 6)
    torch.set_num_threads(1)
    crowd: dict[str, list[Floats]] = {}
    arms: dict[str, list[Fitted]] = {arm: [] for arm in ARMS}
    for seed in seeds:
        for name, found in everybody(seed).items():
            crowd.setdefault(name, []).append(found)
        labels = few_answers(np.random.default_rng(1000 + seed))
        for arm in ARMS:
            arms[arm].append(fit_arm(arm, labels, seed))
    sys.exit(0 if report(crowd, arms) else 1)


if __name__ == "__main__":
    main()

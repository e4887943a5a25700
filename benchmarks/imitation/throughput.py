"""What `versus_imitation` measures of imitation 1.0.1, run by the Python of its environment.

    python benchmarks/imitation/throughput.py KIND MEMBERS COMPARISONS EPOCHS

Prints comparisons per second of its reward trainer and the peak resident bytes, as JSON.
KIND is "mlp" (17 + 6 inputs, 50 steps) or "cnn" (64x64x3, 25 steps); batches of 32, one thread.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from imitation.algorithms import preference_comparisons as pc  # type: ignore[import-not-found]
from imitation.data.types import TrajectoryWithRew  # type: ignore[import-not-found]
from imitation.rewards import reward_nets  # type: ignore[import-not-found]
from numpy.typing import NDArray


def fragment(kind: str, rng: np.random.Generator) -> TrajectoryWithRew:
    """A random segment with a reward to prefer it by."""
    observations: NDArray[Any] = rng.normal(size=(51, 17)).astype(np.float32)
    actions: NDArray[Any] = rng.normal(size=(50, 6)).astype(np.float32)
    if kind == "cnn":
        observations = rng.integers(0, 256, (26, 64, 64, 3), dtype=np.uint8)
        actions = rng.integers(0, 15, 25)
    rewards = rng.normal(size=len(actions))
    return TrajectoryWithRew(observations, actions, None, False, rewards)


def network(kind: str, members: int) -> torch.nn.Module:
    """Its network for vectors or for images, or an ensemble of them."""
    if kind == "mlp":
        spaces: Any = (gym.spaces.Box(-np.inf, np.inf, (17,)), gym.spaces.Box(-1, 1, (6,)))
        nets = [reward_nets.BasicRewardNet(*spaces) for _ in range(members)]
    else:
        frames: Any = gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)
        spaces = (frames, gym.spaces.Discrete(15))
        nets = [reward_nets.CnnRewardNet(*spaces, use_action=False) for _ in range(members)]
    chosen: torch.nn.Module = nets[0] if members == 1 else reward_nets.RewardEnsemble(*spaces, nets)
    return chosen


def main() -> None:
    """Train once and print the figures."""
    kind, members, count, epochs = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    model = pc.PreferenceModel(network(kind, members))
    loss = pc.CrossEntropyRewardLoss()
    trainer = (pc.BasicRewardTrainer if members == 1 else pc.EnsembleTrainer)(
        model, loss, rng=rng, batch_size=32, epochs=epochs
    )
    data = pc.PreferenceDataset()
    for _ in range(count):
        pair = (fragment(kind, rng), fragment(kind, rng))
        better = float(pair[0].rews.sum() > pair[1].rews.sum())
        data.push([pair], np.array([better], dtype=np.float32))
    started = time.perf_counter()
    trainer.train(data)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"comparisons_per_second": count * epochs / seconds, "peak": peak}))


if __name__ == "__main__":
    main()

"""Our PPO beside stock Stable-Baselines3 PPO on Procgen: steps per second, and returns.

    python -m benchmarks.policy_speed [--quick] [--repeats 5] [--seeds 3] [--steps 500000]

Same network, starting weights, batch and hyper-parameters, same environments, one process;
the two take turns, each with the number of threads that measures fastest for it. Rewards are
the game's own. Returns are means over the last 100 training episodes at equal steps. Ours may be
lower by 5 % of what stock gained over the untrained agent; three seeds cannot tell less apart, as
the lower bound of the difference shows. A finished seed lies under var/bench/policy_speed and is
not trained again; --seeds 0 measures speed alone, --repeats 0 returns alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecNormalize

from benchmarks.measure import Figure, median_figure, report
from learner.agents.features import ImpalaFeatures
from learner.agents.ppo import PPOAgent, make_agent
from learner.config import RunConfig, parse_config
from learner.devices import Compute, seconds_per_step
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.returns import mean_over_runs

FOLDER = Path("var/bench/policy_speed")
BAR = 1.5
MARGIN = 0.05  # of the return that stock has gained
CHANNELS = (8, 16, 16)


class Ours:
    """Our agent on the game's own reward."""

    def __init__(self, config: RunConfig, compute: Compute | None) -> None:
        self.agent: PPOAgent = make_agent(config, _environments(config), compute)

    def iterate(self) -> int:
        """Collect and learn from one rollout; returns its steps."""
        rollout = self.agent.collect(0, capture=False)
        self.agent.improve(rollout, rollout.true_rewards)
        return rollout.ends.size

    @property
    def mean_return(self) -> float:
        """Over the last 100 episodes."""
        return self.agent.episode_metrics().get("rollout/ep_rew_mean", float("nan"))


class Stock:
    """SB3's PPO as its documentation sets it up for images and normalised rewards."""

    def __init__(self, config: RunConfig, start: dict[str, Any]) -> None:
        agent = config.agent
        self.ppo = PPO(
            "CnnPolicy",
            VecNormalize(_environments(config), norm_obs=False, gamma=agent.gamma),
            learning_rate=agent.learning_rate,
            n_steps=agent.n_steps,
            batch_size=agent.batch_size,
            n_epochs=agent.n_epochs,
            gamma=agent.gamma,
            gae_lambda=agent.gae_lambda,
            clip_range=agent.clip_range,
            clip_range_vf=agent.clip_range_vf,
            ent_coef=agent.ent_coef,
            vf_coef=agent.vf_coef / 2,  # SB3's squared error lacks the half
            max_grad_norm=agent.max_grad_norm,
            policy_kwargs={
                "features_extractor_class": ImpalaFeatures,
                "features_extractor_kwargs": {"channels": CHANNELS},
                "net_arch": [],
            },
            seed=config.seed,
            device="cpu",
        )
        self.ppo.policy.load_state_dict(start)
        self.ppo.set_logger(configure(format_strings=[]))
        self.threads = _fastest_threads(self.ppo)

    def iterate(self) -> int:
        """Collect and learn from one rollout; returns its steps."""
        steps = self.ppo.n_steps * self.ppo.n_envs
        with Compute("cpu", "float32", self.threads).active():
            self.ppo.learn(steps, reset_num_timesteps=False)
        return steps

    @property
    def mean_return(self) -> float:
        """Over the last 100 episodes."""
        episodes: Sequence[dict[str, float]] = self.ppo.ep_info_buffer or ()
        return float(np.mean([episode["r"] for episode in episodes])) if episodes else float("nan")


def _environments(config: RunConfig) -> Environments:
    environments = make(config.environment, num_envs=config.environment.num_envs, seed=config.seed)
    environments.reset()
    return environments


def _fastest_threads(ppo: PPO) -> int:
    """One thread or all cores, whichever trains SB3's policy faster."""
    observations = torch.zeros(128, 3, 64, 64, dtype=torch.uint8)

    def step() -> None:
        values, log_probs, _ = ppo.policy.evaluate_actions(observations, torch.zeros(128))
        (values.sum() + log_probs.sum()).backward()  # type: ignore[no-untyped-call]

    counts = {1, os.cpu_count() or 1}
    return min(counts, key=lambda n: seconds_per_step(Compute("cpu", "float32", n), step))


def pair(config: RunConfig, compute: Compute | None = None) -> tuple[Ours, Stock]:
    """Both contenders with the same starting weights."""
    ours = Ours(config, compute)
    start = {key: value.clone() for key, value in ours.agent.policy.state_dict().items()}
    return ours, Stock(config, start)


def steps_per_second(contender: Ours | Stock) -> float:
    """Of one iteration."""
    started = time.perf_counter()
    steps = contender.iterate()
    return steps / (time.perf_counter() - started)


def speeds(config: RunConfig, repeats: int) -> list[Figure]:
    """Steps per second of both by turns, and their ratio."""
    ours, stock = pair(config)
    for contender in (ours, stock):
        contender.iterate()  # warms up
    measured = np.array([(steps_per_second(ours), steps_per_second(stock)) for _ in range(repeats)])
    compute = ours.agent.compute
    print(f"ours: {compute.precision}, {compute.threads} threads; stock: {stock.threads} threads")
    return [
        median_figure("ours", measured[:, 0], "steps/s"),
        median_figure("stock SB3", measured[:, 1], "steps/s"),
        median_figure("ours / stock", measured[:, 0] / measured[:, 1], "x", at_least=BAR),
    ]


def returns(config: RunConfig, seeds: int, steps: int) -> list[Figure]:
    """Returns of both after equal steps; passes where ours is not lower by more than the margin."""
    found = []
    for seed in range(seeds):
        seeded = config.model_copy(update={"seed": seed, "total_steps": steps})
        found.append(finished(seeded))
        print(f"seed {seed}: ours {found[-1][0]:.2f}, stock {found[-1][1]:.2f}", flush=True)
    return _compared(np.array(found))


def finished(config: RunConfig) -> list[float]:
    """Returns of ours, stock and the untrained agent: as they are kept, or trained now."""
    path = FOLDER / f"{config.environment.id.split('/')[-1]}-{config.seed}.json"
    facts = config.model_dump(mode="json")
    if path.exists() and (kept := json.loads(path.read_text()))["facts"] == facts:
        values: list[float] = kept["returns"]
        return values
    ours, stock = pair(config)
    ours.iterate()
    untrained = ours.mean_return  # of the rollout before the first update
    stock.iterate()
    while ours.agent.steps < config.total_steps:
        ours.iterate()
        stock.iterate()
    values = [ours.mean_return, stock.mean_return, untrained]
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"facts": facts, "returns": values}, indent=1) + "\n")
    return values


def _compared(found: NDArray[np.float64]) -> list[Figure]:
    """Figures of (seeds, 3) returns: ours, stock's, and the untrained agent's."""
    ours, stock, untrained = found.mean(axis=0)
    difference = mean_over_runs(found[:, 0] - found[:, 1])
    half = difference.high - difference.value
    margin = MARGIN * (stock - untrained)
    return [
        Figure("return, ours", float(ours)),
        Figure("return, stock SB3", float(stock)),
        Figure("return, untrained", float(untrained)),
        Figure("return, ours - stock", difference.value, spread=half, at_least=-float(margin)),
        Figure("its lower 95 % bound", difference.low),
    ]


def main() -> int:
    """Measure and report; 1 if ours is too slow or worse."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="speed only, short rollouts, one epoch"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500_000)
    parser.add_argument("--game", default="starpilot")
    options = parser.parse_args()
    rollouts = {"n_steps": 32, "n_epochs": 1} if options.quick else {}
    config = parse_config(
        {
            "environment": {"id": f"procgen/{options.game}"},
            "agent": {"network": "impala-small"} | rollouts,
        }
    )
    repeats, seeds = (3, 0) if options.quick else (options.repeats, options.seeds)
    figures = speeds(config, repeats) if repeats else []
    if seeds:
        figures += returns(config, seeds, options.steps)
    return report("policy_speed", figures)


if __name__ == "__main__":
    sys.exit(main())

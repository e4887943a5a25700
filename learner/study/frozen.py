"""Fresh agents on a reward that does not change, from where they were left, and their scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from learner.agents.rollouts import Rollout
from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.scoring import Scores, score
from learner.seeds import integer
from learner.study.experts import begin, load_state, save_state, snapshot

Payer = Callable[[Rollout], NDArray[np.float32]]
"""(T, N) what the steps of a rollout are paid."""

_SAVE_EVERY = 10  # rollouts
_RETURN = "rollout/ep_rew_mean"


@dataclass(frozen=True)
class Trained:
    """An agent after its training.

    Attributes:
        steps: environment steps that it learned from.
        scores: true returns of whole episodes.
        curve: of each rollout, the environment `steps` behind it, the mean true `return` of the
            last 100 episodes (NaN before the first), and what was paid: on average for steps of
            `rewarded` and of `unrewarded` true reward (NaN without any), and the `share` of
            rewarded steps.
    """

    steps: int
    scores: Scores
    curve: list[dict[str, float]]


def train_frozen(
    config: RunConfig,
    latest: Path,
    compute_folder: Path,
    make_payer: Callable[[Environments], Payer],
    episodes: int,
    say: Callable[[str], None],
) -> Trained:
    """Train and score a fresh agent.

    Args:
        config: how.
        latest: kept there every few rollouts, to go on from; the caller removes it in the end.
        compute_folder: how networks are run on this machine.
        make_payer: what rollouts of these environments are paid by.
        episodes: per split, for scores.
        say: told how it goes.
    """
    with closing(training_environments(config)) as environments:
        state = load_state(latest) if latest.exists() else None
        agent = begin(config, environments, compute_folder, state)
        curve: list[dict[str, float]] = list(state.get("curve", [])) if state else []
        pay = make_payer(environments)
        rollouts = max(1, config.total_steps // config.rollout_steps)
        done = agent.steps // config.rollout_steps
        for number in range(done + 1, rollouts + 1):
            rollout = agent.collect(number, capture=False)
            paid = pay(rollout)
            known = agent.improve(rollout, paid).get(_RETURN, math.nan)
            curve.append({"steps": agent.steps, "return": known, **_tally(rollout, paid)})
            if number % _SAVE_EVERY == 0 and number < rollouts:
                save_state(latest, {**snapshot(agent), "curve": curve})
                say(f"{agent.steps:,} of {config.total_steps:,} steps, true return {known:.2f}")
        scores = score(agent, config, episodes, rewarding=None, pulse=lambda: None)
    return Trained(agent.steps, scores, curve)


def _tally(rollout: Rollout, paid: NDArray[np.float32]) -> dict[str, float]:
    """What the steps of a rollout were paid, by whether they are truly rewarded."""
    rewarded = rollout.true_rewards != 0
    parts = {"rewarded": paid[rewarded], "unrewarded": paid[~rewarded]}
    means = {name: float(one.mean()) if one.size else math.nan for name, one in parts.items()}
    return {**means, "share": float(rewarded.mean())}


def training_environments(config: RunConfig) -> Environments:
    """The environments that an agent learns in."""
    return make(
        config.environment,
        num_envs=config.environment.num_envs,
        seed=integer(config.seed, "environments"),
        test_start_level=config.evaluation.test_start_level,
    )

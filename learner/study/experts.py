"""Experts: PPO on the true reward, with checkpoints kept over all of training."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learner.agents.payment import pay_true
from learner.agents.ppo import PPOAgent, make_agent
from learner.agents.probe import choose_compute
from learner.config import RunConfig
from learner.devices import Compute, require
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.seeds import integer
from learner.study.config import StudyConfig
from learner.study.folder import StudyError, StudyFolder, write_whole

_LATEST = "latest.pt"


@dataclass(frozen=True)
class Kept:
    """A checkpoint of an expert.

    Attributes:
        steps: environment steps that it has learned from.
        path: its file.
    """

    steps: int
    path: Path

    def load(self) -> dict[str, Any]:
        """The agent's state.

        Raises:
            StudyError: the file is damaged.
        """
        return load_state(self.path)


def expert_config(study: StudyConfig, game: str) -> RunConfig:
    """The settings that a game's expert is trained with."""
    seed = integer(study.seed, f"expert {game}")
    experts = study.experts
    return study.run(game, experts.agent, steps=experts.total_steps, seed=seed, name="expert")


def checkpoints(folder: Path) -> list[Kept]:
    """A finished expert's checkpoints, the untrained one first."""
    return [Kept(int(path.stem), path) for path in sorted(folder.glob("[0-9]*.pt"))]


def train_expert(
    study: StudyConfig, folder: StudyFolder, game: str, pulse: Callable[[str], None]
) -> None:
    """Train a game's expert, from where an earlier attempt was left."""
    config, place = expert_config(study, game), folder.experts(game)
    train_policy(config, place, study.experts.checkpoints, folder.compute, pulse)


def train_policy(
    config: RunConfig, place: Path, count: int, compute_folder: Path, pulse: Callable[[str], None]
) -> None:
    """Train PPO on the true reward, from where an earlier attempt was left.

    Args:
        config: how.
        place: its folder; `finished` lies there in the end.
        count: checkpoints kept, the untrained agent among them.
        compute_folder: how networks are run on this machine.
        pulse: told how it goes.
    """
    due = _schedule(config, count)
    environments = make(
        config.environment,
        num_envs=config.environment.num_envs,
        seed=integer(config.seed, "environments"),
        test_start_level=config.evaluation.test_start_level,
    )
    with closing(environments):
        latest = place / _LATEST
        state = load_state(latest) if latest.exists() else None
        agent = begin(config, environments, compute_folder, state)
        _train(agent, config, place, due, pulse)
    (place / "finished").touch()


def begin(
    config: RunConfig,
    environments: Environments,
    compute_folder: Path,
    state: dict[str, Any] | None,
) -> PPOAgent:
    """A fresh agent, or one as `snapshot` kept it, its environments with it."""
    if state is None:
        compute = choose_compute(config, environments, compute_folder)
    else:
        compute = require(Compute(**state["agent"]["compute"]))
    agent = make_agent(config, environments, compute)
    environments.reset()
    if state is not None:
        agent.load_state_dict(state["agent"])
        for index, one in enumerate(state["environments"]):
            environments.load(index, one)
    return agent


def snapshot(agent: PPOAgent) -> dict[str, Any]:
    """Everything that training goes on from."""
    environments = [agent.env.save(index) for index in range(agent.env.num_envs)]
    return {"agent": agent.state_dict(), "environments": environments}


def _schedule(config: RunConfig, count: int) -> list[int]:
    """Steps, in whole rollouts, after which a checkpoint is kept: 0, the last, and between."""
    rollouts = max(1, config.total_steps // config.rollout_steps)
    marks = np.unique(np.linspace(0, rollouts, min(count, rollouts + 1)).round().astype(int))
    return [int(mark) * config.rollout_steps for mark in marks]


def _train(
    agent: PPOAgent, config: RunConfig, place: Path, due: list[int], pulse: Callable[[str], None]
) -> None:
    """Iterate to the last checkpoint; each is kept with the state to go on from."""
    while True:
        if agent.steps in due and not (place / _name(agent.steps)).exists():
            state = snapshot(agent)
            save_state(place / _LATEST, state)
            save_state(place / _name(agent.steps), {"agent": state["agent"]})
            metrics = agent.episode_metrics()
            score = f", return {metrics['rollout/ep_rew_mean']:.2f}" if metrics else ""
            pulse(f"{agent.steps:,} of {due[-1]:,} steps{score}")
        if agent.steps >= due[-1]:
            return
        rollout = agent.collect(agent.steps // config.rollout_steps + 1, capture=False)
        agent.improve(rollout, pay_true(rollout.true_rewards, config.agent))


def _name(steps: int) -> str:
    return f"{steps:012d}.pt"


def save_state(path: Path, values: dict[str, Any]) -> None:
    """Write an agent's state, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(values, buffer)
    write_whole(path, lambda file: file.write(buffer.getbuffer()))


def load_state(path: Path) -> dict[str, Any]:
    """What an agent was saved as.

    Raises:
        StudyError: the file is damaged; the message names it.
    """
    try:
        values: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise StudyError(
            f"{path} is damaged; remove it and start the study again, which makes it anew"
        ) from error
    return values

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

from learner.agents.ppo import PPOAgent, make_agent
from learner.agents.probe import choose_compute
from learner.config import RunConfig
from learner.devices import Compute, require
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
    due = _schedule(config, study.experts.checkpoints)
    environments = make(
        config.environment,
        num_envs=config.environment.num_envs,
        seed=integer(config.seed, "environments"),
    )
    with closing(environments):
        latest = place / _LATEST
        state = load_state(latest) if latest.exists() else None
        if state:
            compute = require(Compute(**state["agent"]["compute"]))
        else:
            compute = choose_compute(config, environments, folder.compute)
        agent = make_agent(config, environments, compute)
        environments.reset()
        if state:
            agent.load_state_dict(state["agent"])
            for index, snapshot in enumerate(state["environments"]):
                environments.load(index, snapshot)
        _train(agent, config, place, due, pulse)
    (place / "finished").touch()


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
            state = agent.state_dict()
            _save(place / _LATEST, {"agent": state, "environments": _snapshots(agent)})
            _save(place / _name(agent.steps), {"agent": state})
            metrics = agent.episode_metrics()
            score = f", return {metrics['rollout/ep_rew_mean']:.2f}" if metrics else ""
            pulse(f"{agent.steps:,} of {due[-1]:,} steps{score}")
        if agent.steps >= due[-1]:
            return
        rollout = agent.collect(agent.steps // config.rollout_steps + 1, capture=False)
        agent.improve(rollout, rollout.true_rewards)


def _snapshots(agent: PPOAgent) -> list[bytes]:
    return [agent.env.save(index) for index in range(agent.env.num_envs)]


def _name(steps: int) -> str:
    return f"{steps:012d}.pt"


def _save(path: Path, values: dict[str, Any]) -> None:
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

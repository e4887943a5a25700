"""One episode of an agent as a trajectory, from its first frame on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learner.config import EnvironmentConfig
from learner.envs.protocol import Environments
from learner.evaluation.episodes import Acting
from learner.trajectories import Trajectory, digest


def record(
    agent: Acting,
    environments: Environments,
    environment: EnvironmentConfig,
    rng: np.random.Generator,
    *,
    longest: int,
    episode: str,
    policy_step: int,
) -> Trajectory:
    """Let an agent play in a single environment until an episode ends.

    Args:
        agent: samples its actions.
        environments: one, where an episode has just begun.
        environment: how it was made.
        rng: source of the agent's draws.
        longest: steps after which the episode is left as it stands.
        episode: its name.
        policy_step: environment steps that the agent has learned from.

    Returns:
        A recipe; with observations, and frames where it can be drawn, if it cannot be restored.
    """
    level = int(environments.levels()[0])
    start = environments.save(0) if environments.replayable else None
    tape = _play(agent, environments, rng, longest, film=start is None and environments.pictures)
    observations = np.stack(tape.seen)
    return Trajectory(
        environment=environment.model_dump(mode="json"),
        start_state=start,
        actions=np.stack(tape.actions),
        rewards=np.array(tape.rewards, dtype=np.float32),
        ends=np.array([False] * (len(tape.actions) - 1) + [tape.ended]),
        episode=episode,
        level=level,
        policy_step=policy_step,
        digest=digest(observations),
        observations=None if start is not None else observations,
        frames=np.stack(tape.frames) if tape.frames else None,
    )


@dataclass
class _Tape:
    """An episode as it goes on."""

    seen: list[Any] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    frames: list[Any] = field(default_factory=list)
    ended: bool = False


def _play(
    agent: Acting,
    environments: Environments,
    rng: np.random.Generator,
    longest: int,
    *,
    film: bool,
) -> _Tape:
    """Play to the episode's end, or for so many steps; with frames only where `film` says so."""
    tape, observation = _Tape(), environments.observe()
    while not tape.ended and len(tape.actions) < longest:
        tape.seen.append(observation[0].copy())
        if film:
            tape.frames.append(environments.render_people())
        action = agent.act(observation, rng)
        observation, reward, ends, _ = environments.step(action)
        tape.actions.append(action[0])
        tape.rewards.append(float(reward[0]))
        tape.ended = bool(ends[0])
    return tape

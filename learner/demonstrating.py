"""An agent plays demonstrations: whole episodes on training levels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.episodes import LONGEST, Acting
from learner.evaluation.recording import record
from learner.seeds import generator, integer
from learner.trajectories import Trajectory


def demonstrate(
    agent: Acting,
    config: RunConfig,
    episodes: int,
    *,
    policy_step: int,
    pulse: Callable[[int], None] = lambda _: None,
) -> list[Trajectory]:
    """Let an agent play whole episodes on training levels.

    Args:
        agent: samples its actions, as in training.
        config: of its run; equal configs play equal levels.
        episodes: how many.
        policy_step: environment steps that the agent has learned from.
        pulse: told the number of every finished episode, from 1.
    """
    environments = _theatre(config)
    rng = generator(config.seed, "demonstration actions")
    played = []
    with closing(environments):
        environments.reset()
        for number in range(episodes):
            played.append(
                record(
                    agent,
                    environments,
                    config.environment,
                    rng,
                    longest=LONGEST,
                    episode=f"demonstration-{policy_step}-{number}",
                    policy_step=policy_step,
                )
            )
            if not played[-1].ends[-1]:  # it would go on where this one was left
                environments.reset()
            pulse(number + 1)
    return played


def _theatre(config: RunConfig) -> Environments:
    """One training environment; drawn as it plays only where it cannot be restored."""
    seed = integer(config.seed, "demonstrations")
    environments = make(config.environment, num_envs=1, seed=seed)
    if environments.replayable:
        return environments
    environments.close()
    return make(config.environment, num_envs=1, seed=seed, people_view=True)

"""An episode to look at: the agent on one fixed level, the same at every checkpoint."""

from __future__ import annotations

from learner.config import RunConfig
from learner.envs.protocol import Environments
from learner.envs.registry import make
from learner.evaluation.episodes import Acting
from learner.evaluation.recording import record
from learner.seeds import generator, integer
from learner.trajectories import Trajectory


def film(agent: Acting, config: RunConfig, *, policy_step: int) -> Trajectory:
    """Let the agent play one unseen level, as a recipe for its video.

    Args:
        agent: samples its actions.
        config: the run's; equal configs are filmed on the same level.
        policy_step: environment steps that the agent has learned from.
    """
    environments = _stage(config, people_view=False)
    if not environments.replayable:  # then what people see has to be stored as well
        environments.close()
        environments = _stage(config, people_view=True)
    try:
        environments.reset()
        return record(
            agent,
            environments,
            config.environment,
            generator(config.seed, "film actions"),
            longest=int(config.evaluation.video_seconds * environments.fps),
            episode=f"film-{policy_step}",
            policy_step=policy_step,
        )
    finally:
        environments.close()


def _stage(config: RunConfig, *, people_view: bool) -> Environments:
    return make(
        config.environment,
        num_envs=1,
        seed=integer(config.seed, "film"),
        split="test",
        test_start_level=config.evaluation.test_start_level,
        people_view=people_view,
    )

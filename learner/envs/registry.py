"""Every environment by its id: the one place where families are chosen."""

from __future__ import annotations

from learner.config import EnvironmentConfig
from learner.envs.procgen import ProcgenEnvironments
from learner.envs.protocol import Environments, Split, UnavailableEnvironment


def make(
    config: EnvironmentConfig,
    *,
    num_envs: int,
    seed: int,
    split: Split = "train",
    test_start_level: int = 1_000_000,
    people_view: bool = False,
    threads: int | None = None,
) -> Environments:
    """Make a batch of environments.

    Args:
        config: which environment; its `num_envs` is not read.
        num_envs: environments stepped side by side.
        seed: every generator of the batch is derived from it and the split.
        split: training levels, or levels that training never sees.
        test_start_level: first level of the test split, in families with levels.
        people_view: whether `render_people` will be called; costs time per step.
        threads: threads that step the batch, where the family can use them; None = all cores.

    Raises:
        UnavailableEnvironment: unknown, misconfigured or not installed; one line.
    """
    if config.id.startswith("procgen/"):
        return ProcgenEnvironments(
            config,
            num_envs=num_envs,
            seed=seed,
            split=split,
            test_start_level=test_start_level,
            people_view=people_view,
            threads=threads,
        )
    raise UnavailableEnvironment(f"unknown environment '{config.id}'")

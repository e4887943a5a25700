"""Every environment by its id: the one place where families are chosen."""

from __future__ import annotations

from typing import Any

from learner.config import EnvironmentConfig
from learner.envs.atari import AtariSingle, register_games
from learner.envs.endings import HiddenEnds
from learner.envs.gymnasium import GymnasiumSingle, specification
from learner.envs.maze import MazeSingle
from learner.envs.mujoco import MujocoSingle
from learner.envs.procgen import ProcgenEnvironments
from learner.envs.protocol import Environments, Split
from learner.envs.single import Single, SingleEnvironments, Stream
from learner.envs.stacking import FrameStack

_MUJOCO = "gymnasium.envs.mujoco."


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
        split: training levels, or levels that training never sees; where a family has no levels,
            episodes of other seeds.
        test_start_level: first level of the test split, in families with levels.
        people_view: whether `render_people` will be called; can cost time per step.
        threads: threads that step the batch, where the family can use them; None = all cores.

    Raises:
        UnavailableEnvironment: unknown, misconfigured or not installed; one line.
    """
    env: Environments
    if config.id.startswith("procgen/"):
        env = ProcgenEnvironments(
            config,
            num_envs=num_envs,
            seed=seed,
            split=split,
            test_start_level=test_start_level,
            people_view=people_view,
            threads=threads,
        )
    else:
        streams = [Stream(seed, int(split == "test"), index) for index in range(num_envs)]
        env = SingleEnvironments(_singles(config, streams, people_view=people_view))
    if config.episode_end != "as_is":
        env = HiddenEnds(env, config)
    if config.frame_stack > 1:  # outermost, so that a hidden end does not show in the frames
        env = FrameStack(env, config.frame_stack)
    return env


def _singles(
    config: EnvironmentConfig, streams: list[Stream], *, people_view: bool
) -> list[Single]:
    """Environments that come one by one, of the family that the id belongs to."""
    name: str = config.id
    options: dict[str, Any] = config.options
    if name.startswith("maze/"):
        return [MazeSingle(name, options, stream) for stream in streams]
    if name.startswith("ALE/"):
        register_games()
        specification(name)
        return [AtariSingle(name, options, stream) for stream in streams]
    family = GymnasiumSingle
    if str(specification(name).entry_point).startswith(_MUJOCO):
        family = MujocoSingle
    return [family(name, options, stream, people_view=people_view) for stream in streams]

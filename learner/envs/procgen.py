"""The sixteen Procgen games (Cobbe et al. 2020), stepped natively in one batch.

Procgen resets by itself: the frame that comes with an episode's end is the first of the next
episode, and the frame after the last action is never drawn. Its timeouts count as terminal,
as in the published recipe. A snapshot holds the level range and the generators of its
environment, so it goes on exactly wherever it is restored.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from learner.config import EnvironmentConfig
from learner.envs.episodes import Episodes
from learner.envs.protocol import NOTHING, Environments, Info, Split, Step, UnavailableEnvironment

GAMES = (
    "bigfish", "bossfight", "caveflyer", "chaser", "climber", "coinrun", "dodgeball", "fruitbot",
    "heist", "jumper", "leaper", "maze", "miner", "ninja", "plunder", "starpilot",
)  # fmt: skip
# The library ends the whole process on a mode that a game lacks, so the modes are known here.
MODES = {
    "extreme": {"chaser", "dodgeball", "leaper", "starpilot"},
    "memory": {"caveflyer", "dodgeball", "heist", "jumper", "maze", "miner"},
    "exploration": {
        "caveflyer", "climber", "coinrun", "heist", "jumper", "leaper", "maze", "ninja",
    },
}  # fmt: skip
OPTIONS = {"center_agent", "paint_vel_info"}

# As good as unlimited, and below every seed that is used for something else.
TEST_LEVELS = 100_000_000
_LAST_LEVEL = 2**31 - 1
_MAX_STATE = 2**20
_RESET = -1  # the action that ends an episode at once


class ProcgenEnvironments(Environments):
    """A batch of one Procgen game; no Python loop over its environments per step."""

    fps = 15

    def __init__(
        self,
        config: EnvironmentConfig,
        *,
        num_envs: int,
        seed: int,
        split: Split = "train",
        test_start_level: int = 1_000_000,
        people_view: bool = False,
        threads: int | None = None,
    ) -> None:
        self._env = _library_env(
            num=num_envs,
            rand_seed=_seed(seed, split),
            num_threads=_threads(threads, num_envs),
            render_mode="rgb_array" if people_view else None,
            **_game_options(config, split, test_start_level),
        )
        self._buffer = self._env._ffi.new(f"char[{_MAX_STATE}]")
        super().__init__(num_envs, spaces.Box(0, 255, (64, 64, 3), np.uint8), spaces.Discrete(15))
        self._people_view = people_view
        self._episodes = Episodes(num_envs)
        self._env.observe()  # waits for the threads that make the first levels
        self._running_levels = self.levels()

    def reset(self) -> NDArray[np.uint8]:
        """Start a new episode wherever one is under way; (num_envs, 64, 64, 3)."""
        if self._episodes.lengths.any():
            self.restart(np.arange(self.num_envs))
        return self.observe()

    def restart(self, indices: NDArray[np.intp]) -> None:
        """Give up the running episodes of some environments; `observe` shows their new ones."""
        others = np.setdiff1d(np.arange(self.num_envs), indices)
        # The library steps its whole batch; what must not move is put back afterwards.
        kept = [(int(index), self.save(int(index))) for index in others]
        actions = np.full(self.num_envs, _RESET, np.int32)
        self._env.act(actions)
        self._env.observe()
        self._episodes.clear(indices)
        for index, state in kept:
            self.load(index, state)
        self._running_levels = self.levels()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Start a step in the library's threads; actions: (num_envs,) integers in 0..14."""
        self._env.act(np.asarray(actions))

    def step_wait(self) -> Step:
        """Observations, true rewards, ends and infos of the step started last."""
        rewards, views, ends = self._env.observe()
        self._episodes.add(rewards)
        infos = [NOTHING] * self.num_envs
        for index in np.flatnonzero(ends):
            infos[index] = self._ended(int(index))
        self._running_levels = self.levels()
        return views["rgb"], rewards, ends, infos

    def _ended(self, index: int) -> Info:
        episode = self._episodes.finish(index, int(self._running_levels[index]))
        return {"episode": episode, "TimeLimit.truncated": False}

    def observe(self) -> NDArray[np.uint8]:
        """(num_envs, 64, 64, 3) current frames."""
        views: NDArray[np.uint8] = self._env.observe()[1]["rgb"]
        return views

    def save(self, index: int) -> bytes:
        """Snapshot of one environment, its episode's return and length included."""
        size = self._env.call_c_func("get_state", index, self._buffer, _MAX_STATE)
        return self._episodes.pack(index) + bytes(self._env._ffi.buffer(self._buffer, size))

    def load(self, index: int, state: bytes) -> None:
        """Put one environment into a snapshot, also one of another batch of the same game."""
        game_state = self._episodes.unpack(index, state)
        self._env.call_c_func("set_state", index, game_state, len(game_state))
        self._env.observe()
        self._running_levels = self.levels()

    def levels(self) -> NDArray[np.int64]:
        """(num_envs,) level seed of the running episodes."""
        # A view of the library's own buffer: get_info() would build a dict per environment.
        return self._env._info["level_seed"].astype(np.int64)  # type: ignore[no-any-return]

    def render_people(self, index: int = 0) -> NDArray[np.uint8]:
        """(512, 512, 3) one environment as people see it."""
        assert self._people_view, "made without people_view=True"
        frame: NDArray[np.uint8] = self._env.get_info()[index]["rgb"]
        return frame

    def close(self) -> None:
        """Stop the library's threads."""
        self._env.close()


def level_range(config: EnvironmentConfig, split: Split, test_start_level: int) -> tuple[int, int]:
    """First level and number of levels of a split.

    Test levels are a block of `TEST_LEVELS` from `test_start_level` on. Training levels are
    the configured ones; "unlimited" (0) means all from `start_level` up to the test levels. So
    no level can be in both. (Under `use_sequential_levels` each completed level is followed by
    the one 997 further on: about a thousand levels within one episode would reach the test block.)

    Raises:
        UnavailableEnvironment: the two ranges overlap, or leave the library's 31 bits.
    """
    first, count = config.start_level, config.num_levels or test_start_level - config.start_level
    if count <= 0:
        raise UnavailableEnvironment(
            f"no training levels between {first} and the test levels, which start at "
            f"{test_start_level}; lower environment.start_level"
        )
    if first + count > test_start_level and first < test_start_level + TEST_LEVELS:
        raise UnavailableEnvironment(
            f"training levels from {first} on reach the test levels, which start at "
            f"{test_start_level}; lower environment.start_level or environment.num_levels, or "
            "raise evaluation.test_start_level"
        )
    if split == "test":
        first, count = test_start_level, TEST_LEVELS
    if first + count > _LAST_LEVEL:
        raise UnavailableEnvironment(
            f"levels {first} to {first + count} pass Procgen's last level {_LAST_LEVEL}; "
            "start lower"
        )
    return first, count


def _game_options(config: EnvironmentConfig, split: Split, test_start_level: int) -> dict[str, Any]:
    """The library's keyword arguments for a config, checked."""
    game = config.id.removeprefix("procgen/")
    if game not in GAMES:
        raise UnavailableEnvironment(
            f"unknown Procgen game '{game}'; environment.id is one of procgen/" + ", ".join(GAMES)
        )
    mode: str = config.distribution_mode
    if game not in MODES.get(mode, GAMES):
        raise UnavailableEnvironment(
            f"{game} has no {mode} mode; use easy or hard as environment.distribution_mode"
        )
    unknown = sorted(set(config.options) - OPTIONS)
    if unknown:
        raise UnavailableEnvironment(
            f"Procgen has no option '{unknown[0]}'; environment.options takes "
            + ", ".join(sorted(OPTIONS))
        )
    options: dict[str, Any] = {
        "env_name": game,
        "use_backgrounds": config.use_backgrounds,
        "use_monochrome_assets": config.use_monochrome_assets,
        "restrict_themes": config.restrict_themes,
        "use_sequential_levels": config.use_sequential_levels,
        **config.options,
    }
    if mode == "exploration":
        # One hard level chosen by the library; what is unseen are other hard levels.
        if split == "train":
            return options | {"distribution_mode": mode}
        mode = "hard"
    first, count = level_range(config, split, test_start_level)
    return options | {"distribution_mode": mode, "start_level": first, "num_levels": count}


def _library_env(**options: Any) -> Any:
    """The library's batched environment, imported without gym's deprecation warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from procgen.env import ProcgenGym3Env
    return ProcgenGym3Env(**options)


def _seed(seed: int, split: Split) -> int:
    """A seed below 2**31 for the library, other for each split."""
    state = np.random.SeedSequence([seed, int(split == "test")]).generate_state(1)
    return int(state[0]) & 0x7FFFFFFF


def _threads(threads: int | None, num_envs: int) -> int:
    """Threads that step the batch; 0 = the calling one, best for a handful of environments."""
    if num_envs < 8:
        return 0
    return threads or os.cpu_count() or 1

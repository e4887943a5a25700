"""A person plays an environment: keys to actions, frames at a steady rate, episodes as recipes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from typing import Any

import imageio.v3 as imageio
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from learner.config import EnvironmentConfig
from learner.envs.protocol import Environments, UnavailableEnvironment
from learner.envs.registry import make
from learner.evaluation.recording import record
from learner.trajectories import Trajectory

RATE = 15
"""Steps a second."""
LONGEST_EPISODE = 5 * 60 * RATE
"""Steps; a person who has gone away must not fill the disk."""

_ARROWS = {"ArrowLeft": (-1, 0), "ArrowRight": (1, 0), "ArrowUp": (0, 1), "ArrowDown": (0, -1)}
_LETTERS = {"d": 9, "a": 10, "w": 11, "s": 12, "q": 13, "e": 14}


class Left(Exception):
    """The player has left."""


Keys = Callable[[], Collection[str]]
"""The keys held down now, by the names that browsers give them.

Raises:
    Left: nobody plays any more.
"""


def procgen_action(keys: Collection[str]) -> int:
    """Procgen's action for the keys held down: nine directions, or one of six buttons."""
    for key, action in _LETTERS.items():
        if key in keys:
            return action
    held = [_ARROWS[key] for key in keys if key in _ARROWS]
    right = sum(x for x, _ in held)
    up = sum(y for _, y in held)
    return 3 * (int(np.sign(right)) + 1) + int(np.sign(up)) + 1


def discrete_action(keys: Collection[str], count: int) -> int:
    """Digits choose an action; arrows the first and the last; nothing pressed is the first."""
    for key in keys:
        if key.isascii() and key.isdigit() and int(key) < count:
            return int(key)
    return count - 1 if "ArrowRight" in keys else 0


def legend(config: EnvironmentConfig) -> str:
    """Which keys do what, in one line for people."""
    if config.id.startswith("procgen/"):
        return "arrow keys move, two at once go diagonally; D A W S Q E act where the game has it"
    return "digits choose an action; the left arrow is action 0, the right one the last"


class Player:
    """A person at the keyboard, as an agent that chooses one action every 1/15 s.

    Args:
        environments: one, made with `people_view=True`.
        keys: what is held down.
        show: given each frame as JPEG.
    """

    def __init__(
        self,
        environments: Environments,
        config: EnvironmentConfig,
        keys: Keys,
        show: Callable[[bytes], None],
    ) -> None:
        space = environments.action_space
        if not isinstance(space, spaces.Discrete):
            raise UnavailableEnvironment(f"{config.id} has no actions that keys could choose")
        self._environments = environments
        self._procgen = config.id.startswith("procgen/")
        self._count = int(space.n)
        self._keys = keys
        self._show = show
        self._next = time.monotonic()

    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:  # noqa: ARG002
        """Show what is there, wait for the tick, and take the keys as they are then."""
        self._show(jpeg(self._environments.render_people()))
        now = time.monotonic()
        self._next = max(self._next + 1 / RATE, now)  # late once is not late for ever
        time.sleep(self._next - now)
        keys = self._keys()
        action = procgen_action(keys) if self._procgen else discrete_action(keys, self._count)
        return np.array([action])


def episodes(
    config: EnvironmentConfig, *, seed: int, name: str, keys: Keys, show: Callable[[bytes], None]
) -> Iterator[Trajectory]:
    """Let a person play training levels, one episode after the other, until they leave.

    Args:
        config: of the run.
        seed: which levels come.
        name: of the play; each episode's has its number behind it.
        keys: what is held down; raises `Left` to end everything.
        show: given each frame as JPEG.

    Raises:
        UnavailableEnvironment: it cannot be made here, drawn, or played with keys.
    """
    with closing(make(config, num_envs=1, seed=seed, people_view=True, threads=1)) as environments:
        if not environments.pictures:
            raise UnavailableEnvironment(f"{config.id} cannot be drawn, so nobody can play it")
        player = Player(environments, config, keys, show)
        environments.reset()
        number = 0
        while True:
            rng = np.random.default_rng(seed)  # a person draws nothing from it
            played = record(
                player,
                environments,
                config,
                rng,
                longest=LONGEST_EPISODE,
                episode=f"{name}-{number}",
                policy_step=0,
            )
            if not played.ends[-1]:
                environments.reset()
            yield played
            number += 1


def jpeg(frame: NDArray[np.uint8]) -> bytes:
    """A frame, (H, W, 3), as a browser can show it."""
    content: bytes = imageio.imwrite(
        "<bytes>", frame, extension=".jpg", plugin="pillow", quality=80
    )
    return content

"""Any registered Gymnasium environment, put back by taking its episode's actions again.

Gymnasium asks every environment to repeat itself when it is reset with the same seed and given
the same actions. So a snapshot is the episode's seed and its actions so far, and needs to know
nothing of what is inside. Whether an environment keeps the promise is tried once; one that does
not is not `replayable`, and what is seen of it has to be stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from learner.envs.protocol import UnavailableEnvironment
from learner.envs.single import Single, Stream

_TRIED_STEPS = 20
_USUAL_FPS = 30
# Extras of ours that bring what Gymnasium misses.
EXTRAS = {"mujoco": "mujoco", "ale_py": "atari", "cv2": "atari"}


class GymnasiumSingle(Single):
    """One Gymnasium environment; every episode is reset with a seed of its own."""

    def __init__(
        self, name: str, options: dict[str, Any], stream: Stream, *, people_view: bool
    ) -> None:
        self.limit = options.get("max_episode_steps", specification(name).max_episode_steps)
        self._name = name
        self.replayable, self.pictures = traits(name, json.dumps(options, sort_keys=True))
        # What cannot be played again has to be filmed while it happens.
        drawn = self.pictures and (people_view or not self.replayable)
        self._env = build(name, options, "rgb_array" if drawn else None)
        self._stream = stream
        self._actions: list[NDArray[Any]] = []
        self.observation_space, self._view = viewed(name, self._env.observation_space)
        self.action_space = checked_actions(name, self._env.action_space)
        self.fps = round(self._env.metadata.get("render_fps") or _USUAL_FPS)

    def reset(self) -> NDArray[Any]:
        """Start the next episode; its first observation."""
        return self._start(self._stream.advance())

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool]:
        """Observation, reward, terminated, truncated."""
        self._actions.append(np.array(action, self.action_space.dtype))
        observation, reward, terminated, truncated, _ = self._env.step(self._given(action))
        return self._view(observation), float(reward), bool(terminated), bool(truncated)

    def save(self) -> bytes:
        """The episode's seed and its actions so far; none where repeating them is no use."""
        actions = self._actions if self.replayable else []
        taken = b"".join(action.tobytes() for action in actions)
        return self._stream.pack() + taken

    def load(self, state: bytes) -> NDArray[Any]:
        """Start the episode of a snapshot again and take its actions."""
        taken = np.frombuffer(self._stream.unpack(state), self.action_space.dtype)
        observation = self._start(self._stream.current())
        for action in taken.reshape(-1, *(self.action_space.shape or ())):
            observation, *_ = self.step(action)
        return observation

    def render(self) -> NDArray[np.uint8]:
        """(H, W, 3) as people see it."""
        frame = None
        try:
            if self._env.render_mode is not None:
                frame = self._env.render()
        except gymnasium.error.DependencyNotInstalled as error:
            raise missing(self._name, error) from error
        if not isinstance(frame, np.ndarray):
            raise UnavailableEnvironment(
                f"{self._name} cannot be drawn, so people cannot judge it; choose one that can, or "
                "let teacher.kind: synthetic judge"
            )
        return frame.astype(np.uint8, copy=False)

    def close(self) -> None:
        """Close its window and free what it holds."""
        self._env.close()

    def _start(self, seed: int) -> NDArray[Any]:
        self._actions.clear()
        observation, _ = self._env.reset(seed=seed)
        return self._view(observation)

    def _given(self, action: Any) -> Any:
        """An action as the environment takes it."""
        return int(action) if isinstance(self.action_space, spaces.Discrete) else action


def specification(name: str) -> Any:
    """An environment's entry in Gymnasium's registry.

    Raises:
        UnavailableEnvironment: there is none.
    """
    try:
        return gymnasium.spec(name)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise UnavailableEnvironment(
            f"unknown environment '{name}' ({_one_line(error)}); use procgen/GAME, or an id "
            "that `python -c 'import gymnasium; gymnasium.pprint_registry()'` lists"
        ) from error


def build(name: str, options: dict[str, Any], render_mode: str | None = None) -> Any:
    """Make a Gymnasium environment without its time limit, which is kept by us.

    Raises:
        UnavailableEnvironment: a missing extra, or options that it does not take.
    """
    wanted = {**options, "max_episode_steps": -1, "disable_env_checker": True}
    try:
        return gymnasium.make(name, render_mode=render_mode, **wanted)
    except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
        raise missing(name, error) from error
    except (TypeError, ValueError, gymnasium.error.Error) as error:
        raise UnavailableEnvironment(
            f"{name} cannot be made: {_one_line(error)}; check environment.options"
        ) from error


def viewed(name: str, space: spaces.Space[Any]) -> tuple[spaces.Box, Callable[[Any], NDArray[Any]]]:
    """What the agent sees of a space: images stay, all else becomes a float32 vector.

    Returns:
        The space (H, W, C) uint8 or (D,) float32, and the function that maps observations to it.

    Raises:
        UnavailableEnvironment: observations of varying size.
    """
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3):
        shape = space.shape if len(space.shape) == 3 else (*space.shape, 1)
        return spaces.Box(0, 255, shape, np.uint8), lambda seen: np.reshape(seen, shape)
    try:
        flat: spaces.Space[Any] = spaces.flatten_space(space)
    except NotImplementedError:
        flat = space
    if not isinstance(flat, spaces.Box):
        raise UnavailableEnvironment(
            f"{name} has observations of varying size ({type(space).__name__}); wrap it so that "
            "it gives vectors or images"
        )
    vector = spaces.Box(flat.low.astype(np.float32), flat.high.astype(np.float32), dtype=np.float32)

    def view(seen: Any) -> NDArray[Any]:
        return np.asarray(spaces.flatten(space, seen), np.float32)

    return vector, view


def checked_actions(name: str, space: spaces.Space[Any]) -> spaces.Space[Any]:
    """The action space, if PPO can take it.

    Raises:
        UnavailableEnvironment: neither `Discrete` from 0 nor a bounded `Box`.
    """
    discrete = isinstance(space, spaces.Discrete) and space.start == 0
    if not discrete and not (isinstance(space, spaces.Box) and space.is_bounded()):
        raise UnavailableEnvironment(
            f"{name} has actions {space}, which the agent cannot give; use an environment with "
            "discrete actions or a bounded box of them"
        )
    return space


@lru_cache(maxsize=64)
def traits(name: str, options: str) -> tuple[bool, bool]:
    """What an environment can do, tried once.

    Args:
        name: its id.
        options: its keyword arguments, as JSON.

    Returns:
        Whether an episode comes out the same when its seed and actions are repeated, and whether
        it can draw pictures.
    """
    env = build(name, json.loads(options))
    try:
        _, view = viewed(name, env.observation_space)
        checked_actions(name, env.action_space).seed(0)
        actions = [env.action_space.sample() for _ in range(_TRIED_STEPS)]
        repeats = _episode(env, actions, view) == _episode(env, actions, view)
        return repeats, "rgb_array" in (env.metadata.get("render_modes") or [])
    finally:
        env.close()


def _episode(env: Any, actions: list[Any], view: Callable[[Any], NDArray[Any]]) -> list[bytes]:
    """Everything that is seen in an episode with these actions."""
    observation, _ = env.reset(seed=1)
    seen = [view(observation)]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        seen += [view(observation), np.array([reward, terminated])]
        if terminated or truncated:
            break
    return [one.tobytes() for one in seen]


def missing(name: str, error: Exception) -> UnavailableEnvironment:
    """What to install for an environment whose packages are not all here."""
    text = _one_line(error)
    extra = next((extra for module, extra in EXTRAS.items() if module in text.lower()), None)
    remedy = f"pip install 'clipwise[{extra}]'" if extra else text
    return UnavailableEnvironment(f"{name} needs packages that are not installed: {remedy}")


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip().rstrip(".")

"""Atari games with the DeepMind preprocessing (Mnih et al. 2015), put back by the emulator.

An agent's step repeats its action four times; what is seen is the pixel-wise maximum of the last
two screens in grey, 84x84. An episode begins with up to 30 steps of doing nothing. Where a game
draws its score, agent and people see black, as in Christiano et al. (2017, appendix A.2): the
picture must not tell the reward. Stack four frames with `environment.frame_stack: 4`.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from learner.envs.gymnasium import build, checked_actions, specification
from learner.envs.protocol import UnavailableEnvironment
from learner.envs.single import Single, Stream

FRAME_SKIP = 4
SIZE = 84
SCREEN = (210, 160)  # rows and columns of the console's picture
FPS = 15  # the console's 60 frames per second, one in four
MISSING = "Atari games need the emulator and OpenCV: pip install 'clipwise[atari]'"

# Where scores, enemies left and the speedometer are drawn: rows from, to, columns from, to.
SCORES = {
    "BeamRider": (5, 42, 0, 160),
    "Breakout": (4, 16, 35, 81),
    "Enduro": (161, 191, 48, 112),
    "Hero": (179, 187, 57, 103),
    "MontezumaRevenge": (6, 14, 56, 102),
    "Pong": (0, 22, 0, 160),
    "PrivateEye": (8, 16, 59, 105),
    "Qbert": (5, 15, 33, 75),
    "Seaquest": (7, 19, 70, 120),
    "SpaceInvaders": (9, 21, 0, 160),
    "Tennis": (4, 14, 0, 160),
}


def score_window(game: str) -> tuple[slice, slice] | None:
    """Rows and columns of the agent's 84x84 view that show a game's score; None if unknown.

    Args:
        game: an id such as ALE/Breakout-v5.
    """
    name = game.removeprefix("ALE/").rpartition("-v")[0]
    if name not in SCORES:
        return None
    top, bottom, left, right = SCORES[name]
    rows, columns = SIZE / SCREEN[0], SIZE / SCREEN[1]
    return (
        slice(math.floor(top * rows), math.ceil(bottom * rows)),
        slice(math.floor(left * columns), math.ceil(right * columns)),
    )


class AtariSingle(Single):
    """One Atari game.

    Options beside the emulator's own: `mask`, a list of [top, bottom, left, right] on the 210x160
    screen instead of the game's entry in `SCORES`, which a game without one needs; `noop_max`, most
    steps of doing nothing.
    """

    fps = FPS
    replayable = True
    pictures = True

    def __init__(self, name: str, options: dict[str, Any], stream: Stream) -> None:
        rest = dict(options)
        self._mask = _checked_mask(rest.pop("mask") if "mask" in rest else _known_mask(name))
        self._noops = int(rest.pop("noop_max", 30))
        self.limit = rest.pop("max_episode_steps", specification(name).max_episode_steps)
        # The published recipe has no sticky actions; the id's default would add them.
        emulator = {"repeat_action_probability": 0.0, **rest, "frameskip": 1}
        self._stream = stream
        self._env = build(name, emulator)
        self._env.reset(seed=stream.current())
        self._console = self._env.unwrapped.ale
        self.action_space = checked_actions(name, self._env.action_space)
        self.observation_space = spaces.Box(0, 255, (SIZE, SIZE, 1), np.uint8)
        height, width = self._console.getScreenDims()
        self._screens = np.zeros((2, height, width), np.uint8)
        self._people: NDArray[np.uint8] | None = None  # the screen of a snapshot, until a step
        self._seen = self._shrunk()

    def reset(self) -> NDArray[np.uint8]:
        """Start the next episode, with its share of steps of doing nothing."""
        rng = np.random.default_rng(self._stream.advance())
        self._env.reset()
        for _ in range(int(rng.integers(self._noops + 1))):
            if self._env.step(0)[2]:
                self._env.reset()
        self._people = None
        self._screens[0] = 0
        self._console.getScreenGrayscale(self._screens[1])
        self._seen = self._shrunk()
        return self._seen

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool]:
        """Observation, summed reward, terminated, truncated."""
        total, terminated, truncated = 0.0, False, False
        for repeat in range(FRAME_SKIP):
            _, reward, terminated, truncated, _ = self._env.step(int(action))
            total += float(reward)
            if terminated or truncated:
                self._screens[0] = 0
                self._console.getScreenGrayscale(self._screens[1])
                break
            if repeat >= FRAME_SKIP - 2:
                self._console.getScreenGrayscale(self._screens[repeat - FRAME_SKIP + 2])
        self._people = None
        self._seen = self._shrunk()
        return self._seen, total, terminated, truncated

    def save(self) -> bytes:
        """The emulator with its generator, and both views: the emulator does not keep them."""
        console: bytes = self._console.cloneState(include_rng=True).serialize()
        views = zlib.compress(self._seen.tobytes() + self.render().tobytes(), level=1)
        return self._stream.pack() + len(console).to_bytes(4, "little") + console + views

    def load(self, state: bytes) -> NDArray[np.uint8]:
        """Put the emulator back."""
        from ale_py import ALEState

        rest = self._stream.unpack(state)
        size = int.from_bytes(rest[:4], "little")
        console = ALEState.__new__(ALEState)
        console.__setstate__(rest[4 : 4 + size])  # type: ignore[arg-type]  # its stub is wrong
        # Also leaves the state "episode over", if a batch is put back after one.
        self._console.restoreState(console)
        views = np.frombuffer(zlib.decompress(rest[4 + size :]), np.uint8)
        self._seen = views[: SIZE * SIZE].reshape(SIZE, SIZE, 1)
        self._people = views[SIZE * SIZE :].reshape(*self._screens.shape[1:], 3)
        return self._seen

    def render(self) -> NDArray[np.uint8]:
        """(210, 160, 3) the screen in colour, without the score."""
        if self._people is None:
            self._people = self._masked(self._console.getScreenRGB())
        return self._people

    def close(self) -> None:
        """Switch the emulator off."""
        self._env.close()

    def _shrunk(self) -> NDArray[np.uint8]:
        """(84, 84, 1) what the agent sees of the last two screens."""
        import cv2

        screen = self._masked(self._screens.max(axis=0))
        small = cv2.resize(screen, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)[..., None]

    def _masked(self, screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        for top, bottom, left, right in self._mask:
            screen[top:bottom, left:right] = 0
        return screen


def register_games() -> None:
    """Tell Gymnasium of the games, and the emulator not to print its name.

    Raises:
        UnavailableEnvironment: the extra is not installed.
    """
    try:
        import ale_py
        import cv2  # noqa: F401
    except ModuleNotFoundError as error:
        raise UnavailableEnvironment(MISSING) from error
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)


def _known_mask(name: str) -> list[tuple[int, int, int, int]]:
    """Where a game's score is drawn.

    Raises:
        UnavailableEnvironment: that is not known, so agent and people would see it.
    """
    game = name.removeprefix("ALE/").rpartition("-v")[0]
    if game not in SCORES:
        raise UnavailableEnvironment(
            f"it is not known where {name} draws its score; set environment.options.mask to a list "
            "of [top, bottom, left, right] on its 210x160 screen, or to [] to let it be seen"
        )
    return [SCORES[game]]


def _checked_mask(mask: Any) -> list[tuple[int, int, int, int]]:
    """The rectangles of a mask.

    Raises:
        UnavailableEnvironment: not a list of four whole numbers each.
    """
    try:
        return [(int(top), int(bottom), int(left), int(right)) for top, bottom, left, right in mask]
    except (TypeError, ValueError) as error:
        raise UnavailableEnvironment(
            "environment.options.mask must be a list of [top, bottom, left, right] on the screen"
        ) from error

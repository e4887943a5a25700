"""MuJoCo tasks of Gymnasium, put back from the simulator's own state.

What Gymnasium reads after a step (positions of bodies, contact forces) belongs to the
simulator's last inner step, not to the state it ends in. So a snapshot holds the state before the
last step, and the action: taking it again brings back everything, bit for bit.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.envs.gymnasium import GymnasiumSingle, missing
from learner.envs.protocol import UnavailableEnvironment
from learner.envs.single import Stream

_log = logging.getLogger(__name__)

# The back ends that draw share no class of error, and say little.
_GL_ERRORS = (AttributeError, ImportError, OSError, RuntimeError, ValueError)
_NO_GL = (
    "MuJoCo cannot draw here, no usable OpenGL; install libegl1 (Debian: apt-get install libegl1) "
    "and set MUJOCO_GL=egl"
)


class MujocoSingle(GymnasiumSingle):
    """One MuJoCo task: positions, velocities, time and the solver's warm start are saved."""

    def __init__(
        self, name: str, options: dict[str, Any], stream: Stream, *, people_view: bool
    ) -> None:
        self._mujoco = _library(name)
        self._kind = self._mujoco.mjtState.mjSTATE_INTEGRATION
        super().__init__(name, options, stream, people_view=people_view)
        self._before = np.zeros(0)

    @property
    def _model(self) -> Any:
        return self._env.unwrapped.model

    @property
    def _data(self) -> Any:
        return self._env.unwrapped.data

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool]:
        """Observation, reward, terminated, truncated."""
        self._before = np.empty(self._mujoco.mj_stateSize(self._model, self._kind))
        self._mujoco.mj_getState(self._model, self._data, self._before, self._kind)
        self._actions.clear()  # only the last one is needed
        return super().step(action)

    def save(self) -> bytes:
        """The episode's seed, the last action, and the state before it."""
        return super().save() + (self._before.tobytes() if self._actions else b"")

    def load(self, state: bytes) -> NDArray[Any]:
        """Go back to the state before the last step, and take it again."""
        rest = self._stream.unpack(state)
        observation = self._start(self._stream.current())
        if not rest:
            return observation
        shape = self.action_space.shape or ()
        action = np.frombuffer(rest, self.action_space.dtype, int(np.prod(shape))).reshape(shape)
        before = np.frombuffer(rest[action.nbytes :], np.float64)
        self._mujoco.mj_setState(self._model, self._data, before, self._kind)
        return self.step(action)[0]

    def render(self) -> NDArray[np.uint8]:
        """(H, W, 3) as people see it."""
        if sys.platform == "linux" and not os.environ.get("DISPLAY"):
            os.environ.setdefault("MUJOCO_GL", "egl")  # read when the first picture is drawn
        try:
            return super().render()
        except _GL_ERRORS as error:
            raise UnavailableEnvironment(_NO_GL) from error


def _library(name: str) -> Any:
    """MuJoCo's Python module.

    Raises:
        UnavailableEnvironment: the extra is not installed, or MUJOCO_GL names what is not here.
    """
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise missing(name, error) from error
    except _GL_ERRORS as error:
        raise UnavailableEnvironment(_NO_GL) from error
    # Without this, warnings go to a file in whatever folder the run was started in.
    mujoco.set_mju_user_warning(_log.info)
    return mujoco

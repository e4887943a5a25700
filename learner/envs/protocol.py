"""What every environment family offers: a batch of environments that can be put back.

SB3's `VecEnv` interface, plus snapshot, restore and a view for people. Auto-reset as in SB3:
the observation returned with `done` is the first of the next episode.

`step_wait` returns one info per environment. It is an empty dict shared by all that have nothing
to say; where an episode of the game ended it holds `episode`: `{"r": true return, "l": steps,
"level": level seed}` for evaluation, `TimeLimit.truncated`, and, where the family can tell,
`terminal_observation`. Under `episode_end: hide` an info can hold `episode` without a `done`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from learner.errors import LearnerError

Split = Literal["train", "test"]
Info = dict[str, Any]
Step = tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_], list[Info]]

NOTHING: Info = {}  # the info of every environment that has nothing to say


class UnavailableEnvironment(LearnerError):
    """An environment that cannot be made here; the message says what to install or change."""


class Environments(VecEnv):
    """A batch of environments of one family.

    Attributes:
        replayable: whether `save` and `load` put one environment back exactly; where they do
            not, `load` begins another episode, and nothing of the old one counts towards it.
        pictures: whether `render_people` has something to show.
        fps: frames per second at which people see it at natural speed.
        limit: most steps of an episode, where a time limit is known; None = no such limit.
    """

    replayable: bool = True
    pictures: bool = True
    fps: int = 15
    limit: int | None = None
    render_mode: str | None = None

    @abstractmethod
    def observe(self) -> NDArray[Any]:
        """(num_envs, ...) current observations, as the last `reset` or `step` returned."""

    @abstractmethod
    def save(self, index: int) -> bytes:
        """Snapshot of one environment, enough to go on from here with equal results."""

    @abstractmethod
    def load(self, index: int, state: bytes) -> None:
        """Put one environment into a snapshot; `observe` shows it at once."""

    @abstractmethod
    def restart(self, indices: NDArray[np.intp]) -> None:
        """Give up the running episodes of some environments; `observe` shows their new ones."""

    @abstractmethod
    def levels(self) -> NDArray[np.int64]:
        """(num_envs,) level seed of the running episodes, -1 where there are no levels."""

    @abstractmethod
    def render_people(self, index: int = 0) -> NDArray[np.uint8]:
        """(H, W, 3) one environment as people see it; made with `people_view=True`."""

    @abstractmethod
    def reset(self) -> NDArray[Any]:
        """(num_envs, ...) first observations; every environment starts a new episode."""

    @abstractmethod
    def step_wait(self) -> Step:
        """Observations, true rewards (float32), ends and infos of the step taken."""

    def step(self, actions: NDArray[Any]) -> Step:
        """Take (num_envs, ...) actions and wait for what they lead to."""
        self.step_async(actions)
        return self.step_wait()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the batch, repeated for each environment asked for."""
        return [getattr(self, attr_name) for _ in self._indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ARG002
        """Set an attribute of the batch; a family has no attributes per environment."""
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the batch once for each environment asked for."""
        method = getattr(self, method_name)
        return [method(*method_args, **method_kwargs) for _ in self._indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002
        """No environment of ours wears a Gymnasium wrapper that SB3 asks about."""
        return [False for _ in self._indices(indices)]

    def _indices(self, indices: Any) -> Iterable[int]:
        return self._get_indices(indices)

"""The beginnings of scored episodes as recipes: the same levels at every checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.config import EnvironmentConfig
from learner.envs.protocol import Environments
from learner.trajectories import Trajectory, digest


class Performances:
    """Records the first environments while their episodes are played.

    Only where an environment can be put back into a state; elsewhere nothing is recorded.
    """

    def __init__(self, count: int, seconds: float) -> None:
        """Record nothing yet.

        Args:
            count: environments, from the first.
            seconds: of each episode, at most, as it is shown.
        """
        self._count = count
        self._seconds = seconds
        self._longest = 1
        self._starts: list[bytes] = []
        self._levels: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._steps: list[list[tuple[NDArray[Any], Any, float, bool]]] = []

    def begin(self, environments: Environments) -> None:
        """Note where episodes begin that have just been reset."""
        if not environments.replayable:
            return
        count = min(self._count, environments.num_envs)
        self._longest = max(1, int(self._seconds * environments.fps))
        self._starts = [environments.save(index) for index in range(count)]
        self._levels = environments.levels()[:count].copy()
        self._steps = [[] for _ in range(count)]

    def add(
        self,
        alive: NDArray[np.bool_],
        observations: NDArray[Any],
        actions: NDArray[Any],
        rewards: NDArray[np.float32],
        ends: NDArray[np.bool_],
    ) -> None:
        """Note a step of the episodes that go on: (n, ...) of each, the frame before the action."""
        for index, steps in enumerate(self._steps):
            if alive[index] and len(steps) < self._longest:
                steps.append(
                    (
                        observations[index].copy(),
                        actions[index].copy(),
                        float(rewards[index]),
                        bool(ends[index]),
                    )
                )

    def recipes(self, environment: EnvironmentConfig, *, policy_step: int) -> Sequence[Trajectory]:
        """What was recorded, by level in the order of the environments.

        Args:
            environment: how the environments were made.
            policy_step: environment steps that the agent has learned from.
        """
        found = []
        for index, steps in enumerate(self._steps):
            seen, actions, rewards, ends = zip(*steps, strict=True)
            found.append(
                Trajectory(
                    environment=environment.model_dump(mode="json"),
                    start_state=self._starts[index],
                    actions=np.stack(actions),
                    rewards=np.array(rewards, dtype=np.float32),
                    ends=np.array(ends),
                    episode=f"trial-{policy_step}-{index}",
                    level=int(self._levels[index]),
                    policy_step=policy_step,
                    digest=digest(np.stack(seen)),
                    observations=None,
                    frames=None,
                )
            )
        return found

"""What an episode's end tells the agent (Christiano et al. 2017, section 2.2 and appendix A).

An end that the agent can see tells it about the task: whoever lives longer collects more of any
reward that is mostly of one sign. So ends can be hidden, and a teacher told of them by a penalty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.config import EnvironmentConfig
from learner.envs.episodes import Episodes
from learner.envs.layer import Layer
from learner.envs.protocol import NOTHING, Environments, Info, Step, UnavailableEnvironment


class HiddenEnds(Layer):
    """Environments that start again unseen; the agent lives in one endless episode.

    With `end_penalty`, the true reward of a step that ended an episode of the game is changed by
    it, for the oracle; a time limit is not penalised. With `horizon`, episodes of just so many
    steps are made instead: they are truncated, and only then does the agent see an end.
    """

    def __init__(self, inner: Environments, config: EnvironmentConfig) -> None:
        self._penalty, self._horizon = _rules(config)
        super().__init__(inner, inner.observation_space)
        self.limit = self._horizon
        self._episodes = Episodes(inner.num_envs)  # of `horizon` steps

    def reset(self) -> NDArray[Any]:
        """Start a new episode wherever one is under way."""
        self._episodes.clear(slice(None))
        return self._inner.reset()

    def restart(self, indices: NDArray[np.intp]) -> None:
        """Give up the running episodes of some environments; `observe` shows their new ones."""
        self._episodes.clear(indices)
        self._inner.restart(indices)

    def step_wait(self) -> Step:
        """Observations, true rewards, ends and infos of the step started last."""
        seen, rewards, hidden, infos = self._inner.step_wait()
        self._episodes.add(rewards)
        paid = rewards.copy()
        for index in np.flatnonzero(hidden):
            if not infos[index]["TimeLimit.truncated"]:
                paid[index] += self._penalty
        if self._horizon is None:
            shown = [{"episode": info["episode"]} if info else NOTHING for info in infos]
            return seen, paid, np.zeros(self.num_envs, np.bool_), shown
        ends = self._episodes.lengths >= self._horizon
        shown = [NOTHING] * self.num_envs
        for index in np.flatnonzero(ends):
            shown[index] = self._truncated(int(index), seen[index], infos[index])
        # Those that ended of themselves with this step have just started again.
        running = np.flatnonzero(ends & ~hidden)
        if running.size:
            self._inner.restart(running)
            seen = self._inner.observe()
        return seen, paid, ends, shown

    def _truncated(self, index: int, seen: NDArray[Any], info: Info) -> Info:
        """What is said of an episode that has reached the horizon."""
        level = int(self._inner.levels()[index])
        shown = {"episode": self._episodes.finish(index, level), "TimeLimit.truncated": True}
        last = info.get("terminal_observation") if info else seen.copy()
        return shown if last is None else {**shown, "terminal_observation": last}

    def save(self, index: int) -> bytes:
        """Snapshot of one environment and of its steps towards the horizon."""
        return self._episodes.pack(index) + self._inner.save(index)

    def load(self, index: int, state: bytes) -> None:
        """Put one environment into a snapshot."""
        self._inner.load(index, self._episodes.unpack(index, state))
        if not self.replayable:  # another episode has begun
            self._episodes.clear(index)


def _rules(config: EnvironmentConfig) -> tuple[float, int | None]:
    """Penalty at a hidden end, and horizon if there is one.

    Raises:
        UnavailableEnvironment: a setting that the kind of end needs is missing.
    """
    if config.episode_end == "hide":
        return 0.0, None
    if config.episode_end == "penalty":
        if not config.end_penalty:
            raise UnavailableEnvironment(
                "environment.episode_end is penalty but environment.end_penalty is 0; "
                "set it, e.g. to -1"
            )
        return config.end_penalty, None
    if config.horizon is None:
        raise UnavailableEnvironment(
            "environment.episode_end is fixed_horizon; set environment.horizon to the steps of "
            "an episode"
        )
    return config.end_penalty, config.horizon

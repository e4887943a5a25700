"""Whole runs with a synthetic oracle, and the returns of the agents that come out of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from learner.config import RunConfig, parse_config
from learner.control import Control
from learner.envs.registry import make
from learner.evaluation.episodes import Acting, play
from learner.loop import TrainingLoop
from learner.records import Settings, Workplace
from server.database import migrate

EPISODES = 100
SIDE, COLUMNS = 48, 8


class Columns(gymnasium.Env[NDArray[np.uint8], int]):
    """A small image task: stand in the bright column; 1 for every step there, 24 steps."""

    observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
    action_space = spaces.Discrete(3)
    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        super().reset(seed=seed)
        self._goal, self._here = self.np_random.choice(COLUMNS, 2, replace=False)
        return self._seen(), {}

    def step(self, action: int) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        # Paid for the frame that the action was chosen from, as in Procgen.
        reward = float(self._here == self._goal)
        self._here = int(np.clip(self._here + action - 1, 0, COLUMNS - 1))
        return self._seen(), reward, False, False, {}

    def _seen(self) -> NDArray[np.uint8]:
        wide = SIDE // COLUMNS
        frame = np.zeros((SIDE, SIDE, 3), np.uint8)
        frame[:, self._goal * wide : (self._goal + 1) * wide, 1] = 160
        frame[SIDE // 3 : -SIDE // 3, self._here * wide : (self._here + 1) * wide, 0] = 255
        return frame


gymnasium.register("Columns-v0", Columns, max_episode_steps=24)


@dataclass(frozen=True)
class Trained:
    """What a run came to: true returns of its agent on episodes of other seeds."""

    returns: NDArray[np.float64]
    labels: int

    @property
    def mean(self) -> float:
        return float(self.returns.mean())


class Random:
    """An agent that knows nothing."""

    def __init__(self, space: Any) -> None:
        self._space = space

    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        self._space.seed(int(rng.integers(2**31)))
        return np.stack([self._space.sample() for _ in observations])


def returns_of(config: RunConfig, make_agent: Callable[[Any], Acting]) -> NDArray[np.float64]:
    environments = make(config.environment, num_envs=EPISODES, seed=1, split="test")
    agent = make_agent(environments.action_space)
    played = play(agent, environments, np.random.default_rng(0))
    environments.close()
    return played.returns


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Trained]:
    """Runs a config, with changes, to its end."""

    def run(values: dict[str, Any]) -> Trained:
        config = parse_config(values)
        settings = Settings(var=tmp_path / f"{config.agent.reward}-{config.seed}")
        migrate(settings.database_url)
        workplace = Workplace(settings)
        name = workplace.create_run(config.model_dump(mode="json"))
        records = workplace.lease("test", name=name)
        assert records is not None
        loop = TrainingLoop(records, Control())
        outcome = loop.run()
        labels = outcome.labels
        workplace.close()
        return Trained(returns_of(config, lambda _: loop.agent), labels)

    return run


@pytest.fixture
def random_returns() -> Callable[[dict[str, Any]], NDArray[np.float64]]:
    """(episodes,) returns of an agent that acts at random."""
    return lambda values: returns_of(parse_config(values), Random)

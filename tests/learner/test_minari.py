"""Demonstrations from and to Minari, with data sets in a folder of the test's own."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from learner.agents.cloning import DemonstrationError
from learner.config import EnvironmentConfig, parse_config
from learner.demonstrating import demonstrate
from learner.demonstrations import load, write
from learner.envs.registry import make
from learner.minari import export_dataset, import_dataset

minari: Any = pytest.importorskip("minari")


class Chance:
    def act(self, observations: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        return rng.integers(2, size=len(observations))


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


def cartpole(**changes: Any) -> Any:
    return parse_config(
        {
            "environment": {"id": "CartPole-v1", "num_envs": 2},
            "agent": {"network": "mlp", "n_steps": 40, "batch_size": 10},
            "reward": {"network": "mlp"},
            "segments": {"length": 5},
            **changes,
        }
    )


def create(name: str, env: gymnasium.Env[Any, Any], episodes: int) -> None:
    """A data set through Minari's own functions."""
    env.action_space.seed(0)
    buffers = []
    for number in range(episodes):
        observation, _ = env.reset(seed=number)
        buffer = minari.data_collector.EpisodeBuffer(observations=[observation], actions=[])
        ended = False
        while not ended:
            action = env.action_space.sample()
            observation, reward, terminated, truncated, _ = env.step(action)
            buffer.observations.append(observation)
            buffer.actions.append(action)
            buffer.rewards.append(reward)
            buffer.terminations.append(terminated)
            buffer.truncations.append(truncated)
            ended = terminated or truncated
        buffer = replace(
            buffer,
            observations=_columns(buffer.observations),
            actions=np.array(buffer.actions),
            infos={},
        )
        buffers.append(buffer)
    with warnings.catch_warnings(action="ignore"):
        shapes = {"observation_space": env.observation_space, "action_space": env.action_space}
        # Gymnasium writes down only environments that are named by where they are imported from.
        source = {"env": env} if isinstance(env.spec.entry_point, str) else shapes
        minari.create_dataset_from_buffers(name, buffers, **source)
    env.close()


def _columns(rows: list[Any]) -> Any:
    if isinstance(rows[0], dict):
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return np.stack(rows)


def test_a_recorded_data_set_becomes_demonstrations_that_a_run_takes(tmp_path: Path) -> None:
    create("cartpole/chance-v0", gymnasium.make("CartPole-v1"), 3)
    dataset = minari.load_dataset("cartpole/chance-v0")
    played = import_dataset("cartpole/chance-v0", cartpole().environment)
    for one, recorded in zip(played, dataset.iterate_episodes(), strict=True):
        assert one.observations is not None
        np.testing.assert_array_equal(one.observations, recorded.observations[:-1])
        np.testing.assert_array_equal(one.actions, recorded.actions)
        np.testing.assert_array_equal(one.rewards, recorded.rewards)
        assert one.ends[-1]
        assert not one.ends[:-1].any()
    write(tmp_path / "demos", played)
    config = cartpole(
        demonstrations={"path": str(tmp_path / "demos"), "initial_share": 0.5},
        teacher={"kind": "synthetic"},
    )
    environments = make(config.environment, num_envs=1, seed=0)
    demonstrations = load(config, environments)
    environments.close()
    assert demonstrations is not None
    segment, seen = demonstrations.draw(np.random.default_rng(0))
    np.testing.assert_array_equal(segment.trajectory.observations, seen[: segment.trajectory.steps])


def test_people_cannot_be_shown_what_minari_keeps(tmp_path: Path) -> None:
    create("cartpole/chance-v0", gymnasium.make("CartPole-v1"), 1)
    write(tmp_path / "demos", import_dataset("cartpole/chance-v0", cartpole().environment))
    config = cartpole(
        demonstrations={"path": str(tmp_path / "demos"), "initial_share": 0.5},
        teacher={"kind": "person"},
    )
    environments = make(config.environment, num_envs=1, seed=0)
    with pytest.raises(DemonstrationError, match=r"holds no pictures.*initial_share=0"):
        load(config, environments)
    environments.close()


def test_what_is_exported_comes_back_the_same() -> None:
    config = cartpole()
    played = demonstrate(Chance(), config, 2, policy_step=0)
    export_dataset("cartpole/ours-v0", played)
    back = import_dataset("cartpole/ours-v0", config.environment)
    for one, other in zip(played, back, strict=True):
        assert one.digest == other.digest
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.rewards, other.rewards)
        np.testing.assert_array_equal(one.ends, other.ends)
    with pytest.raises(DemonstrationError, match="already exists"):
        export_dataset("cartpole/ours-v0", played)


class Wide(gymnasium.Env[Any, Any]):
    """CartPole's twin in all but its observations, which are nested."""

    observation_space = spaces.Dict(
        {"a": spaces.Box(-1, 1, (2,), np.float32), "b": spaces.Box(-1, 1, (3,), np.float32)}
    )
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.steps = 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self._seen(), 1.0, self.steps == 4, False, {}

    def _seen(self) -> dict[str, NDArray[np.float32]]:
        a, b = np.full(2, 0.1 * self.steps), np.full(3, -0.1 * self.steps)
        return {"a": a.astype(np.float32), "b": b.astype(np.float32)}


gymnasium.register("Wide-v0", Wide)


def test_nested_observations_are_flattened_as_the_environment_does() -> None:
    create("wide/chance-v0", gymnasium.make("Wide-v0"), 1)
    (played,) = import_dataset("wide/chance-v0", EnvironmentConfig(id="Wide-v0"))
    assert played.observations is not None
    np.testing.assert_allclose(played.observations[2], [0.2, 0.2, -0.2, -0.2, -0.2], rtol=1e-6)
    assert played.observations.shape == (4, 5)


def test_a_data_set_that_does_not_fit_is_refused_in_one_line() -> None:
    create("cartpole/chance-v0", gymnasium.make("CartPole-v1"), 1)
    export_dataset("nameless/ours-v0", demonstrate(Chance(), cartpole(), 1, policy_step=0))
    for name, environment, message in (
        ("cartpole/none-v0", "CartPole-v1", "minari download cartpole/none-v0"),
        ("cartpole/chance-v0", "Acrobot-v1", "is of CartPole-v1"),
        ("nameless/ours-v0", "Acrobot-v1", r"observations \(4,\)"),
        ("nameless/ours-v0", "procgen/coinrun", "not the images that the environment shows"),
    ):
        with pytest.raises(DemonstrationError, match=message) as refused:
            import_dataset(name, EnvironmentConfig(id=environment))
        assert "\n" not in str(refused.value)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(DemonstrationError, match=r"pip install 'clipwise\[minari\]'"):
        import_dataset("any/set-v0", EnvironmentConfig(id="CartPole-v1"))

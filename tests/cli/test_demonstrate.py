"""Demonstrations from a run's agent to another run, and reward models as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cli.main import main
from learner.config import parse_config
from learner.demonstrating import demonstrate
from learner.demonstrations import write
from learner.records import Workplace
from learner.replay import verify
from learner.rewards.packing import unpack
from learner.trajectories import Trajectory
from server.database import migrate
from server.settings import Settings

CARTPOLE: dict[str, Any] = {
    "name": "cartpole",
    "seed": 3,
    "total_steps": 3 * 4 * 60,
    "threads": 1,
    "precision": "float32",
    "environment": {"id": "CartPole-v1", "num_envs": 4},
    "agent": {"network": "mlp", "hidden": [8], "n_steps": 60, "batch_size": 60, "n_epochs": 1},
    "segments": {"length": 8, "at_episode_end": "pad"},
    "reward": {"network": "mlp", "hidden": [8], "initial_epochs": 1, "epochs": 1},
    "queries": {"budget": 20, "initial": 10},
    "teacher": {"kind": "synthetic"},
    "evaluation": {"episodes": 1, "interim_episodes": 1, "every": 1000, "video_seconds": 1},
}


@pytest.fixture
def config(write_config: Callable[..., str]) -> str:
    return write_config(**CARTPOLE)


@pytest.fixture
def clipwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command within this process, in the test's folder: exit status, stdout, stderr."""
    monkeypatch.setenv("CLIPWISE_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["clipwise", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call


@pytest.mark.slow
def test_a_run_demonstrates_to_another_and_its_reward_model_leaves_as_a_file(
    command: Any, clipwise: Any, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = command.run("run", config, timeout=250)
    assert trained.returncode == 0, trained.stderr
    monkeypatch.setenv("CLIPWISE_VAR", str(command.settings.var))
    demos = tmp_path / "demos"
    status, said, complaint = clipwise("demonstrate", "cartpole", "--episodes=3", "--out=demos")
    assert (status, complaint) == (0, "")
    assert Path(said.splitlines()[-1]) == Path("demos/result.json")
    facts = json.loads((demos / "result.json").read_text())
    files = sorted(demos.glob("*.npz"))
    assert len(files) == len(facts["episodes"]) == 3
    assert facts["policy_step"] > 0
    for path, episode in zip(files, facts["episodes"], strict=True):
        trajectory = Trajectory.from_bytes(path.read_bytes())
        verify(trajectory)
        assert episode["return"] == episode["steps"] == trajectory.steps
    status, _, complaint = clipwise("demonstrate", "cartpole", "--out=demos")
    assert (status, complaint.count("\n")) == (1, 1)
    assert complaint.startswith("clipwise: demos holds demonstrations already")
    status, said, _ = clipwise("export", "reward-model", "cartpole", "--out=newest.pt")
    assert (status, said.splitlines()[-1]) == (0, "newest.pt")
    newest = unpack(Path("newest.pt").read_bytes())
    assert f"version {newest.version} " in said
    assert newest.version >= 2
    assert clipwise("export", "reward-model", "cartpole", "--version=1", "--out=1.pt")[0] == 0
    first = unpack(Path("1.pt").read_bytes())
    assert first.version == 1
    seen = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert not np.array_equal(first.rewards(seen), newest.rewards(seen))


def test_demonstrations_go_to_minari_and_come_back(
    clipwise: Any, config: str, tmp_path: Path
) -> None:
    pytest.importorskip("minari")
    cartpole = parse_config(yaml.safe_load(Path(config).read_text()))
    played = demonstrate(Right(), cartpole, 2, policy_step=0)
    write(tmp_path / "there", played)
    name = "cartpole/ours-v0"
    status, said, _ = clipwise("export", "demonstrations", "there", name)
    assert (status, said) == (0, f"2 episodes in the Minari data set {name}\n")
    status, said, _ = clipwise("import", "demonstrations", name, config, "--out=back")
    assert (status, said) == (0, "back/result.json\n")
    facts = json.loads(Path("back/result.json").read_text())
    assert facts["dataset"] == name
    assert [one["return"] for one in facts["episodes"]] == [one.steps for one in played]


class Right:
    """Always pushes to the right."""

    def act(self, observations: Any, rng: np.random.Generator) -> Any:
        return np.ones(len(observations), np.int64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "reward-model", "nosuch", "--out", "x"), "nosuch"),
        (("export", "reward-model", "waiting", "--out", "x"), "has no reward model yet"),
        (("demonstrate", "nosuch", "--out", "x"), "nosuch"),
        (("demonstrate", "waiting", "--out", "x"), "has no checkpoint yet"),
        (("export", "demonstrations", "nowhere", "a/b-v0"), "no demonstrations in nowhere"),
        (("import", "demonstrations", "a/none-v0", "CONFIG", "--out", "x"), "minari download"),
    ],
)
def test_what_is_not_there_is_one_line(
    clipwise: Any, config: str, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    settings = Settings(var=tmp_path / "var")
    migrate(settings.database_url)
    workplace = Workplace(settings)
    values = parse_config(yaml.safe_load(Path(config).read_text()))
    workplace.create_run(values.model_dump(mode="json"), name="waiting")
    workplace.close()
    status, _, said = clipwise(*[config if one == "CONFIG" else one for one in arguments])
    assert status == 1
    assert said.startswith("clipwise: ")
    assert message in said
    assert said.count("\n") == 1
    assert not Path("x").exists()

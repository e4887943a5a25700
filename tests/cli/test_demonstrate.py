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
from learner.demonstrations import demonstrate, write
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


def test_a_run_demonstrates_to_another_and_its_reward_model_leaves_as_a_file(
    command: Any, config: str, tmp_path: Path
) -> None:
    trained = command.run("run", config)
    assert trained.returncode == 0, trained.stderr
    demos = tmp_path / "demos"
    played = command.run("demonstrate", "cartpole", "--episodes", "3", "--out", str(demos))
    assert (played.returncode, played.stderr) == (0, "")
    result = Path(played.stdout.splitlines()[-1])
    facts = json.loads(result.read_text())
    assert result == demos / "result.json"
    files = sorted(demos.glob("*.npz"))
    assert len(files) == len(facts["episodes"]) == 3
    assert facts["policy_step"] > 0
    for path, episode in zip(files, facts["episodes"], strict=True):
        trajectory = Trajectory.from_bytes(path.read_bytes())
        verify(trajectory)
        assert episode["return"] == episode["steps"] == trajectory.steps
    again = command.run("demonstrate", "cartpole", "--out", str(demos))
    assert again.returncode == 1
    assert again.stderr.startswith("clipwise: ")
    assert again.stderr.count("\n") == 1
    learner = command.run(
        "run", config, "name=second", f"demonstrations.path={demos}", "demonstrations.autolabels=1"
    )
    assert learner.returncode == 0, learner.stderr
    metrics = json.loads(Path(learner.stdout.splitlines()[-1]).read_text())
    assert metrics["labels"] == 20
    out = tmp_path / "reward-model.pt"
    newest = command.run("export", "reward-model", "cartpole", "--out", str(out))
    assert (newest.returncode, newest.stderr) == (0, "")
    assert newest.stdout.splitlines()[-1] == str(out)
    model = unpack(out.read_bytes())
    assert f"version {model.version} " in newest.stdout
    assert model.version >= 2
    first = command.run("export", "reward-model", "cartpole", "--version", "1", "--out", str(out))
    assert first.returncode == 0
    older = unpack(out.read_bytes())
    assert older.version == 1
    seen = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert not np.array_equal(older.rewards(seen), model.rewards(seen))


def test_demonstrations_go_to_minari_and_come_back(
    config: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    cartpole = parse_config(yaml.safe_load(Path(config).read_text()))
    played = demonstrate(Right(), cartpole, 2, policy_step=0)
    write(tmp_path / "there", played)
    name, back = "cartpole/ours-v0", tmp_path / "back"
    for arguments in (
        ("export", "demonstrations", str(tmp_path / "there"), name),
        ("import", "demonstrations", name, config, "--out", str(back)),
    ):
        monkeypatch.setattr("sys.argv", ["clipwise", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"2 episodes in the Minari data set {name}"
    assert said[-1] == str(back / "result.json")
    facts = json.loads((back / "result.json").read_text())
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
    config: str,
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = Settings(var=tmp_path / "var")
    migrate(settings.database_url)
    workplace = Workplace(settings)
    values = parse_config(yaml.safe_load(Path(config).read_text()))
    workplace.create_run(values.model_dump(mode="json"), name="waiting")
    workplace.close()
    given = [config if one == "CONFIG" else one for one in arguments]
    monkeypatch.setenv("CLIPWISE_VAR", str(settings.var))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["clipwise", *given])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("clipwise: ")
    assert message in said
    assert said.count("\n") == 1
    assert not Path("x").exists()

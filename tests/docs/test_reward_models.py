"""The page on exported reward models: its Python, run from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from learner.config import RewardConfig
from learner.rewards.ensemble import RewardEnsemble
from learner.rewards.packing import pack

PAGE = Path(__file__).parents[2] / "docs" / "reward-models.md"


def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    env = gymnasium.make("CartPole-v1")
    config = RewardConfig(network="mlp", hidden=(8,), members=2)
    model = RewardEnsemble(env.observation_space, env.action_space, config, seed=0)
    monkeypatch.chdir(tmp_path)
    Path("reward-model.pt").write_bytes(pack(model))
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # the page is ours
    assert names["rewards"].shape == (32,)
    assert names["members"].shape == (2, 32)
    np.testing.assert_allclose(names["rewards"], names["members"].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(names["disagreement"], names["members"].std(axis=0), rtol=1e-5)
    assert names["agent"].num_timesteps == 1024
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Box(")
    assert printed[1].endswith(" 1.0")

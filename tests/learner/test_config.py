"""Configs as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from learner.config import ConfigError, load_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("agent: {reward: true}\n")
    return path


def test_the_true_reward_is_asked_for_without_quotes(config: Path) -> None:
    assert load_config(config).agent.reward == "true"
    assert load_config(config, ["agent.reward=learned"]).agent.reward == "learned"
    assert load_config(config, ["agent.reward=true"]).agent.reward == "true"


def test_a_reward_model_is_not_judged_on_pairs_of_its_own_choice_alone(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"uniform_share is 0 and queries\.strategy is bald"):
        load_config(config, ["queries.strategy=bald", "queries.uniform_share=0"])
    load_config(config, ["queries.strategy=uniform", "queries.uniform_share=0"])


def test_false_is_no_reward(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"agent\.reward"):
        load_config(config, ["agent.reward=false"])

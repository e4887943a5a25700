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


@pytest.mark.parametrize("hidden", ["hide", "penalty"])
def test_ends_that_are_hidden_cannot_be_asked_about(config: Path, hidden: str) -> None:
    """No window of hidden ends is known to be one, so a share of them would leave no pair."""
    environment = [f"environment.episode_end={hidden}", "environment.end_penalty=-1"]
    with pytest.raises(ConfigError, match=rf"episode_end={hidden} hides the ends .*endings=0, or"):
        load_config(config, [*environment, "segments.endings=0.5"])
    load_config(config, [*environment, "segments.endings=0"])
    load_config(config, ["environment.episode_end=as_is", "segments.endings=0.5"])


def test_false_is_no_reward(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"agent\.reward"):
        load_config(config, ["agent.reward=false"])

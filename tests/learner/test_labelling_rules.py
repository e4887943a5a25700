"""The server reads a run's labelling rules by itself; they must be those that the config has."""

from __future__ import annotations

from typing import get_args

import pytest

from learner.config import ConfigError, LabellingConfig, QueryConfig, parse_config
from server.rules import STRATEGIES, Rules, rules_of


def test_server_and_learner_have_the_same_rules_and_defaults() -> None:
    assert Rules().model_dump() == LabellingConfig().model_dump()


def test_server_and_learner_have_the_same_strategies() -> None:
    assert get_args(QueryConfig.model_fields["strategy"].annotation) == STRATEGIES


def test_what_the_config_takes_reaches_the_server() -> None:
    rules = {"overlap": 0.2, "skip": "others", "gold_threshold": 0.7, "practice": 3}
    stored = parse_config({"labelling": rules}).model_dump(mode="json")
    assert rules_of(stored) == Rules(**rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"), [("overlap", 1.5), ("skip", "never"), ("gold_share", 0.9), ("extra", 1)]
)
def test_rules_that_cannot_be_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"labelling.{key}"):
        parse_config({"labelling": {key: value}})

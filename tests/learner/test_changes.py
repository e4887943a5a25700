"""Settings changed while a run goes on: a config that nobody could have started is refused."""

from __future__ import annotations

import pytest

from learner.changes import Change, changed
from learner.config import ConfigError, RunConfig, parse_config


def test_changes_are_gone_by_in_their_order() -> None:
    config = RunConfig()
    assert changed(config, []) == config
    changes = [Change(1, 50, "entropy", 3), Change(2, 60, None, None)]
    found = changed(config, changes)
    assert (found.queries.budget, found.queries.strategy) == (60, "entropy")
    assert found.queries.initial == 60
    assert found.model_copy(update={"queries": config.queries}) == config


def test_the_whole_config_must_still_be_one() -> None:
    config = parse_config({"queries": {"strategy": "uniform", "uniform_share": 0.0}})
    with pytest.raises(ConfigError, match="uniform_share is 0") as refused:
        changed(config, [Change(1, None, "entropy", None)])
    assert "\n" not in str(refused.value)

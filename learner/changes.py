"""Settings that people change while a run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from learner.config import RunConfig, parse_config


@dataclass(frozen=True)
class Change:
    """What is to be different.

    Attributes:
        id: row.
        label_budget: labels wanted over the whole run; None = as before.
        strategy: how pairs are chosen; None = as before.
        iteration: the first that went by it; None = none has yet.
    """

    id: int
    label_budget: int | None
    strategy: str | None
    iteration: int | None


def changed(config: RunConfig, changes: Sequence[Change]) -> RunConfig:
    """A config with changes in their order; what was asked first cannot exceed the budget.

    Raises:
        ConfigError: values that no config takes, or that do not go with the rest of this one.
    """
    values: dict[str, Any] = config.queries.model_dump()
    for change in changes:
        if change.label_budget is not None:
            values["budget"] = change.label_budget
        if change.strategy is not None:
            values["strategy"] = change.strategy
    values["initial"] = min(values["initial"], values["budget"])
    whole = config.model_dump() | {"queries": values}
    return parse_config(whole, source="settings changed while it ran")

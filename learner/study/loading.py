"""Studies of every kind, told apart by their key `kind`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from learner.study.config import AnyStudy, StudyConfig
from learner.study.regression.config import RegressionConfig
from learner.yaml_file import ConfigError, first_problem, read_yaml

KINDS: dict[str, type[AnyStudy]] = {"rankings": StudyConfig, "regression": RegressionConfig}


def parse_study(values: dict[str, Any]) -> AnyStudy:
    """A study from its plain values.

    Raises:
        ConfigError: there is no such kind of study.
        ValidationError: a key that its kind does not know, or a wrong value.
    """
    kind = values.get("kind", "rankings")
    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; studies are of the kinds {', '.join(KINDS)}")
    return KINDS[kind].model_validate(values)


def load_any_study(path: Path, overrides: list[str] | None = None) -> AnyStudy:
    """Read the YAML file of a study of any kind and apply `key=value` overrides.

    Raises:
        ConfigError: unreadable file, bad YAML, unknown kind or key, wrong type; one line.
    """
    values = read_yaml(path, overrides)
    try:
        return parse_study(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}") from error

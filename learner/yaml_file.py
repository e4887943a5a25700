"""Configuration files as plain values, and what is wrong with them in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from learner.errors import LearnerError


class ConfigError(LearnerError):
    """A configuration that cannot be used; the message is one line that says what to change."""


def read_yaml(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """The plain values of a YAML file, with `key=value` overrides applied.

    Raises:
        ConfigError: unreadable file or bad YAML; one line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a UTF-8 text file"
        raise ConfigError(f"cannot read {path}: {reason}") from error
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"{path} is not valid YAML{line}; check its indentation") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values, not a {type(values).__name__}")
    for override in overrides or []:
        _apply(values, override)
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    """Set `a.b=value` in nested dicts, in place."""
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise ConfigError(f"'{override}' is not key=value; write e.g. queries.budget=500")
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"'{override}': {parent} is not a section")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"'{override}': the value is not valid YAML") from error


def first_problem(error: ValidationError) -> str:
    """The first validation error in words that name the key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}; remove it or check its spelling"
    if not key:
        return str(first["msg"]).removeprefix("Value error, ")
    return f"{key}: {first['msg']} (got {first['input']!r})"

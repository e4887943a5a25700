"""A study's folder: what is finished lies there under its name, whole or not at all.

config.json                          the study's, as it was started
experts/GAME/000000000.pt            checkpoints of PPO by environment steps
demonstrations/GAME/SPLIT/00000.npz  recipes; index.json beside them says what they are
bank/GAME-SPLIT/                     what the demonstrations show; made again if removed
cells/NAME.json and NAME.pt          a reward model, and what it is worth
agents/NAME.json                     an agent trained on a frozen reward, and its scores
compute/                             threads and precision, by machine and network
problems/                            why a task did not finish
SHA256SUMS                           of everything else
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from learner.choices import FOLDER
from learner.errors import LearnerError

CHECKSUMS = "SHA256SUMS"
_UNLISTED = {CHECKSUMS, "bank", FOLDER, "problems"}


class StudyError(LearnerError):
    """A study that cannot go on; the message says what to do."""


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under another name first, so that a kill leaves all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            write(file)
        draft.replace(path)
    except OSError as error:
        raise StudyError(f"cannot write {path}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, values: Any) -> None:
    """Write plain values; what is not a number becomes null."""
    content = json.dumps(_finite(values), indent=1, allow_nan=False).encode() + b"\n"
    write_whole(path, lambda file: file.write(content))


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote.

    Raises:
        StudyError: it is missing or damaged; the message names it.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise StudyError(f"{path} is damaged; remove it and start the study again") from error


def write_checksums(root: Path) -> None:
    """List the SHA-256 of everything that a study made, as `sha256sum -c SHA256SUMS` reads it.

    Left out are what is made again when it is missing, problems, and drafts.
    """
    lines = []
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root)
        if not path.is_file() or path.name.startswith(".") or place.parts[0] in _UNLISTED:
            continue
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {place.as_posix()}\n")
    content = "".join(lines).encode()
    write_whole(root / CHECKSUMS, lambda file: file.write(content))


def _finite(values: Any) -> Any:
    if isinstance(values, dict):
        return {str(key): _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values


class StudyFolder:
    """Where everything of one study lies."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def compute(self) -> Path:
        """How networks are run on the machines that work on the study."""
        return self.root / FOLDER

    def experts(self, game: str) -> Path:
        """Checkpoints of a game's expert."""
        return self.root / "experts" / game_slug(game)

    def demonstrations(self, game: str, split: str) -> Path:
        """Recipes of a game's demonstrations of one split."""
        return self.root / "demonstrations" / game_slug(game) / split

    def bank(self, game: str, split: str) -> Path:
        """What these demonstrations show, as plain arrays."""
        return self.root / "bank" / f"{game_slug(game)}-{split}"

    def cell(self, name: str) -> Path:
        """Figures of a cell; its reward model has the suffix .pt."""
        return self.root / "cells" / f"{name}.json"

    def gallery(self, game: str) -> Path:
        """The page of a game's demonstrations."""
        return self.root / f"gallery-{game_slug(game)}.html"

    def agent(self, name: str) -> Path:
        """Scores of an agent."""
        return self.root / "agents" / f"{name}.json"

    def problem(self, name: str) -> Path:
        """Why a task did not finish."""
        return self.root / "problems" / f"{name}.json"

    def log(self, name: str) -> Path:
        """What a task wrote to standard error."""
        return self.root / "problems" / f"{name}.log"

    def claim(
        self, config: dict[str, Any], complete: Callable[[Any], dict[str, Any]] = lambda kept: kept
    ) -> None:
        """Take the folder for a study.

        Args:
            config: the study's.
            complete: fills in what a configuration that was kept earlier did not know yet.

        Raises:
            StudyError: it holds another study.
        """
        path = self.root / "config.json"
        if not path.exists():
            write_json(path, config)
            return
        kept = json.loads(json.dumps(_finite(complete(read_json(path)))))
        if kept == json.loads(json.dumps(_finite(config))):
            return
        differing = _difference(kept, config)
        raise StudyError(
            f"{self.root} holds a study with another {differing}; give this one another name, or "
            "remove the folder"
        )


def _difference(kept: Any, given: dict[str, Any], prefix: str = "") -> str:
    """The first key in which two configurations differ."""
    given = json.loads(json.dumps(_finite(given)))
    for key in sorted(set(kept) | set(given)):
        was, now = kept.get(key), given.get(key)
        if was != now:
            if isinstance(was, dict) and isinstance(now, dict):
                return _difference(was, now, f"{prefix}{key}.")
            return f"{prefix}{key}"
    return "configuration"


def game_slug(game: str) -> str:
    """A game's name as part of a file's."""
    return game.removeprefix("procgen/").replace("/", "-").lower()

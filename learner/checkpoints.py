"""A checkpoint: everything needed to go on as if nothing had stopped, as bytes.

Plain values and tensors only, so that loading never runs code (`weights_only`).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from pydantic import BaseModel

from learner.config import RunConfig, parse_config
from learner.errors import LearnerError

# What torch raises on content that is cut short or something else, and `Checkpoint` on fields of
# another version.
_UNREADABLE = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
)
_FIXED = (
    "seed",
    "environment",
    "agent",
    "segments",
    "reward",
    "queries",
    "teacher",
    "demonstrations",
)

FORMAT = 5
"""Raised when the content changes; a checkpoint of another format is refused."""


class CheckpointError(LearnerError):
    """A checkpoint that cannot be gone on from; the message says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run between two iterations.

    Attributes:
        config: of the run, as plain values.
        run: its name. Two runs never share a checkpoint, so that one's clearing up after itself
            never takes another's.
        iteration: the last finished one.
        steps: environment steps so far.
        version: number of the newest reward model, 0 before the first.
        last_preference: row id of the newest preference that a fit has seen.
        last_exclusion: row id of the newest decision about whose answers count.
        passes_left: over the labels, that fits still owe them; None = all, they have changed.
        agent: networks, optimiser, normalisers and generators of the agent.
        ensemble: the reward model with its optimisers and normalisation.
        environments: one snapshot per environment.
        reward_compute: device, precision and threads of the reward model.
        demonstrations: digest of the files that the run was begun with; empty = none.
        asking: what was asked, and the generators of queries and teacher.
        fitting: state of the generator that fits draw from.
        elapsed: seconds of work so far, pauses left out.
    """

    config: Mapping[str, Any]
    run: str
    iteration: int
    steps: int
    version: int
    last_preference: int
    last_exclusion: int
    passes_left: float | None
    agent: dict[str, Any]
    ensemble: dict[str, Any]
    reward_compute: dict[str, Any]
    environments: list[bytes]
    demonstrations: str
    asking: dict[str, Any]
    fitting: Mapping[str, Any]
    elapsed: float = 0.0

    def to_bytes(self) -> bytes:
        """Pack for the artifact store."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **values}, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """Unpack what `to_bytes` packed.

        Raises:
            CheckpointError: damaged content, or another version's.
        """
        try:
            values = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            found = values.pop("format", None)
            if found != FORMAT:
                raise CheckpointError(
                    f"the checkpoint has format {found}, this version reads {FORMAT}; "
                    "go on with the version that made it, or start a new run"
                )
            return cls(**values)
        except _UNREADABLE as error:
            raise CheckpointError(
                "the checkpoint is damaged; restore var/artifacts from a backup"
            ) from error

    def refuse_other(self, config: RunConfig) -> None:
        """Refuse to go on with a config that would have made another run of it.

        A run may be made longer, described better, or scored in another way.

        Raises:
            CheckpointError: made with other values of anything else.
        """
        made = parse_config(dict(self.config), source="the checkpoint's config")
        for part in _FIXED:
            mine, others = getattr(config, part), getattr(made, part)
            if mine != others:
                raise CheckpointError(
                    f"the checkpoint was made with another {_difference(part, others, mine)}; go "
                    "on with the config that made it, or start a new run"
                )


def _difference(part: str, made: Any, given: Any) -> str:
    """The first value that differs, e.g. "agent.gamma (0.99, not 0.9)"."""
    if isinstance(made, BaseModel):
        name = next(
            key for key in type(made).model_fields if getattr(made, key) != getattr(given, key)
        )
        return _difference(f"{part}.{name}", getattr(made, name), getattr(given, name))
    return f"{part} ({made}, not {given})"

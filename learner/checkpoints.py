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

from learner.errors import LearnerError

FORMAT = 2
"""Raised when the content changes; a checkpoint of another format is refused."""


class CheckpointError(LearnerError):
    """A checkpoint that cannot be gone on from; the message says what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run between two iterations.

    Attributes:
        run: its name. Two runs never share a checkpoint, so that one's clearing up after itself
            never takes another's.
        iteration: the last finished one.
        steps: environment steps so far.
        version: number of the newest reward model, 0 before the first.
        last_preference: row id of the newest preference that a fit has seen.
        last_exclusion: row id of the newest decision about whose answers count.
        agent: networks, optimiser, normalisers and generators of the agent.
        ensemble: the reward model with its optimisers and normalisation.
        environments: one snapshot per environment.
        reward_compute: device, precision and threads of the reward model.
        asking: what was asked, and the generators of queries and teacher.
        fitting: state of the generator that fits draw from.
    """

    run: str
    iteration: int
    steps: int
    version: int
    last_preference: int
    last_exclusion: int
    agent: dict[str, Any]
    ensemble: dict[str, Any]
    reward_compute: dict[str, Any]
    environments: list[bytes]
    asking: dict[str, Any]
    fitting: Mapping[str, Any]

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
        except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
            raise CheckpointError(
                "the checkpoint is damaged; restore var/artifacts from a backup"
            ) from error
        found = values.pop("format", None)
        if found != FORMAT:
            raise CheckpointError(
                f"the checkpoint has format {found}, this version reads {FORMAT}; "
                "go on with the version that made it, or start a new run"
            )
        return cls(**values)

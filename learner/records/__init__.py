"""The one door between the learner and the database."""

from __future__ import annotations

from learner.records.inspecting import Aspect, Inspections, Taken
from learner.records.leased import LEASE_SECONDS
from learner.records.run import RunRecords
from learner.records.workplace import Workplace
from server.errors import ArtifactDamaged, ArtifactMissing, LeaseLost
from server.errors import ClipwiseError as RecordsError
from server.models import CommandKind, RunState
from server.settings import Settings

__all__ = [
    "CONTENT_LOST",
    "LEASE_SECONDS",
    "Aspect",
    "CommandKind",
    "Inspections",
    "LeaseLost",
    "RecordsError",
    "RunRecords",
    "RunState",
    "Settings",
    "Taken",
    "Workplace",
]

CONTENT_LOST = (ArtifactMissing, ArtifactDamaged)
"""A row names content that is gone or is no longer what it was."""

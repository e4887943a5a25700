"""The table of inspections: what somebody wants to know of a trajectory, found out by a worker."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Enum, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.models import Base


class Aspect(StrEnum):
    """What is to be found out.

    steps: true rewards and ends, step by step; film: the whole of it as people see it;
    agent_view: the same as the agent sees it; rewards: each ensemble member's, step by step;
    saliency: what in one frame the reward comes from; segments: what a version makes of all
    segments of a run.
    """

    STEPS = "steps"
    FILM = "film"
    AGENT_VIEW = "agent_view"
    REWARDS = "rewards"
    SALIENCY = "saliency"
    SEGMENTS = "segments"


class Method(StrEnum):
    """How saliency is found: two kinds of gradient, or by covering places up."""

    GRADIENT = "gradient"
    INTEGRATED_GRADIENTS = "integrated_gradients"
    OCCLUSION = "occlusion"


class Inspection(Base):
    """One thing to be found out, once: what is asked again is answered by the same row.

    What a kind does not depend on is 0 or empty, never NULL: NULLs would not be unique.
    """

    __tablename__ = "inspections"
    __table_args__ = (
        UniqueConstraint("run_id", "subject", "aspect", "version", "method", "step"),
        Index("ix_inspections_done_at_aspect_id", "done_at", "aspect", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    subject: Mapped[str] = mapped_column(String(64), default="")
    """The trajectory's recipe, in the artifact store; empty for all segments of the run."""
    aspect: Mapped[Aspect] = mapped_column(
        Enum(Aspect, native_enum=False, length=20, values_callable=lambda e: [m.value for m in e])
    )
    version: Mapped[int] = mapped_column(default=0)
    """Of the run's reward model."""
    method: Mapped[str] = mapped_column(String(30), default="")
    step: Mapped[int] = mapped_column(default=0)
    """The frame that is looked at."""
    attempts: Mapped[int] = mapped_column(default=0)
    taken_at: Mapped[datetime | None]
    """When a worker last said that it is at it."""
    done_at: Mapped[datetime | None]
    result: Mapped[str | None] = mapped_column(String(64))
    """Artifact; can be made again, so it may be deleted at any time."""
    reason: Mapped[str] = mapped_column(String(500), default="")
    """Why it cannot be found out."""
    created_at: Mapped[datetime]

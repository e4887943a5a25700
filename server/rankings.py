"""The tables of rankings: an order over trajectories, from which preferences are derived."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Enum, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.models import Base


class RankingKind(StrEnum):
    """What an order rests on.

    true_return: T-REX with ground truth; training_time: of the checkpoint that played; noise:
    injected into a cloned policy (D-REX); person: somebody put clips into order.
    """

    TRUE_RETURN = "true_return"
    TRAINING_TIME = "training_time"
    NOISE = "noise"
    PERSON = "person"


class Ranking(Base):
    """One order over some of a run's trajectories; never changed."""

    __tablename__ = "rankings"
    __table_args__ = (UniqueConstraint("teacher_id", "submission_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    teacher_id: Mapped[int] = mapped_column(ForeignKey("teachers.id"))
    """Whose preferences follow from it: a person, or the ranking itself."""
    kind: Mapped[RankingKind] = mapped_column(
        Enum(
            RankingKind,
            native_enum=False,
            length=20,
            values_callable=lambda e: [m.value for m in e],
        )
    )
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """How preferences were derived: the rule of snippet sampling, how many pairs."""
    preferences: Mapped[int] = mapped_column(BigInteger, default=0)
    """How many were derived when it was made."""
    submission_key: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]


class RankedTrajectory(Base):
    """A trajectory's place in a ranking."""

    __tablename__ = "ranked_trajectories"

    ranking_id: Mapped[int] = mapped_column(ForeignKey("rankings.id"), primary_key=True)
    trajectory_id: Mapped[int] = mapped_column(ForeignKey("trajectories.id"), primary_key=True)
    segment_id: Mapped[int | None] = mapped_column(ForeignKey("segments.id"))
    """The part that was shown, where a person ranked clips."""
    place: Mapped[int]
    """0 is the best; trajectories of one place are tied."""

"""The table of labellers: how a person stands in one run."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from server.models import Base


class Labeller(Base):
    """How a person stands as a labeller of one run; no row while there is nothing to say."""

    __tablename__ = "labellers"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    paused_at: Mapped[datetime | None]
    """Since when no pairs are given; None while all is well."""
    gold_after_id: Mapped[int] = mapped_column(default=0)
    """Gold answers up to this preference are forgiven."""

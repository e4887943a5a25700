"""The table of plays: games that people play in the browser, and what is kept of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from server.models import Base


class Play(Base):
    """Somebody at the keyboard: asked for by the server, hosted by a worker's process."""

    __tablename__ = "plays"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    secret: Mapped[str] = mapped_column(String(80))
    """What the server shows to the process that hosts the game."""
    taken_at: Mapped[datetime | None]
    """When a worker took it."""
    address: Mapped[str | None] = mapped_column(String(255))
    """Where its process listens: host:port."""
    reason: Mapped[str] = mapped_column(String(500), default="")
    """Why it cannot be played."""
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class KeptPlay(Base):
    """An episode that somebody played and kept: a demonstration, as a recipe."""

    __tablename__ = "kept_plays"

    id: Mapped[int] = mapped_column(primary_key=True)
    play_id: Mapped[int] = mapped_column(ForeignKey("plays.id"), index=True)
    trajectory_id: Mapped[int] = mapped_column(ForeignKey("trajectories.id"))
    created_at: Mapped[datetime]

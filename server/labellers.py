"""The tables of labellers: how a person stands in one run, whose answers do not count, and trust.

Answers stay as they are, whoever is excluded: an exclusion is a row beside them, and so is its end.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index
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


class Exclusion(Base):
    """From here on a teacher's answers do not count in a run, or count again; never changed."""

    __tablename__ = "exclusions"
    __table_args__ = (Index("ix_exclusions_run_id_teacher_id_id", "run_id", "teacher_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    teacher_id: Mapped[int] = mapped_column(ForeignKey("teachers.id"))
    excluded: Mapped[bool]
    by_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who decided it."""
    created_at: Mapped[datetime]


class Reliability(Base):
    """How far a teacher's answers can be trusted, as the learner last estimated it.

    Each is the share of answers that are right, None where there was nothing to tell it from.
    """

    __tablename__ = "reliabilities"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    teacher_id: Mapped[int] = mapped_column(ForeignKey("teachers.id"), primary_key=True)
    one_coin: Mapped[float | None]
    """By pairs that others answered too (Dawid-Skene)."""
    crowd_bt: Mapped[float | None]
    """By segments that others compared too (Crowd-BT)."""
    learned: Mapped[float | None]
    """By the reward model itself, where it learns its teachers' noise."""
    answers: Mapped[int]
    """How many decided answers it rests on."""
    created_at: Mapped[datetime]

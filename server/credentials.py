"""The tables of who may come in, and of what was done: sessions, tokens, invitations, the log.

Secrets are never stored: a row holds the fingerprint of what its owner shows (`server.keys`).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from server.models import Base, Person, Role


class LoginSession(Base):
    """One browser that somebody is logged in with."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    browser: Mapped[str] = mapped_column(String(200))
    """What it calls itself, so that its owner knows which one to log out."""
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """However much it is used; unused it ends earlier."""
    revoked_at: Mapped[datetime | None]


class Token(Base):
    """What a program shows instead of a password."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    prefix: Mapped[str] = mapped_column(String(20))
    """Its first letters, so that it can be told from others."""
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Invitation(Base):
    """A link by which one person may make themselves an account."""

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[Role] = mapped_column(Person.__table__.c.role.type)
    invited_by_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    """When it was accepted or withdrawn."""
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who accepted it."""


class LoginFailure(Base):
    """A password that was wrong; a few of them slow the next attempts down."""

    __tablename__ = "login_failures"
    __table_args__ = (
        Index("ix_login_failures_name_created_at", "name", "created_at"),
        Index("ix_login_failures_address_created_at", "address", "created_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the name as it was typed: people type passwords there as well."""
    address: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class AuditEvent(Base):
    """Who did what, on what, when."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"), index=True)
    """None: on the command line, or nobody who is known."""
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(64))
    """Where the request came from; empty on the command line."""
    created_at: Mapped[datetime]

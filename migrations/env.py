"""Runs inside Alembic: every migration, in the one transaction that the caller has begun."""

from __future__ import annotations

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from server import credentials, inspections, labellers, plays, rankings  # noqa: F401 - tables of Base
from server.models import Base, UtcDateTime


def _plain_types(kind: str, item: object, _autogen: AutogenContext) -> str | Literal[False]:
    """Draft migrations without our own types: they must mean the same for ever."""
    return kind == "type" and isinstance(item, UtcDateTime) and "sa.DateTime(timezone=True)"


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite can, once the driver leaves BEGIN to us
    render_as_batch=True,
    render_item=_plain_types,
)
context.run_migrations()

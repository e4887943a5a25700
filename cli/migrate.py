"""`clipwise migrate`: the database's tables."""

from __future__ import annotations

from rich import print as say

from server.database import migrate as migrate_database
from server.settings import load_settings


def migrate() -> None:
    """Bring the database to this version's tables."""
    migrate_database(load_settings().database_url)
    say("the database is up to date")

"""`clipwise backup`: a copy of everything, while everything goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from rich import print as say
from sqlalchemy import make_url, select
from sqlalchemy.orm import Session

from server.artifacts import Artifacts
from server.database import Database
from server.errors import ArtifactMissing, ClipwiseError
from server.models import Base
from server.settings import load_settings

NAMES = frozenset({"artifact", "clip", "agent_clip", "showing", "video"})
"""How columns are called that name an artifact."""

SNAPSHOTS = 5
"""A checkpoint may give way to the next one while it is copied; then another look is taken."""


class NotCopied(ClipwiseError):
    """There is no whole copy."""


def backup(folder: Path) -> None:
    """Copy an SQLite database and all artifacts that it names; a later copy adds what is new.

    Raises:
        NotCopied: a PostgreSQL database, the folder in use, or artifacts that are gone.
    """
    settings = load_settings()
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite" or url.database is None:
        raise NotCopied("PostgreSQL is copied with pg_dump; docs/deployment.md says how")
    source, copy = Path(url.database), folder / "clipwise.db"
    if not source.exists():
        raise NotCopied(f"there is no database {source}; set CLIPWISE_VAR to where it is")
    if copy.resolve() == source.resolve():
        raise NotCopied(f"{folder} is what is to be copied; choose another folder")
    artifacts = Artifacts(settings.artifacts_url)
    copies = Artifacts(str(folder / "artifacts"))
    copies.prepare()
    for _ in range(SNAPSHOTS):
        _copy_database(source, copy)
        names = _artifacts_of(copy)
        gone = [name for name in sorted(names) if not _copied(artifacts, copies, name)]
        if not gone:
            say(f"{copy} and {len(names)} artifacts are a whole copy")
            return
    raise NotCopied(
        f"{len(gone)} of {len(names)} artifacts are gone, {gone[0]} for one; "
        f"all the others are in {folder}"
    )


def _copy_database(source: Path, copy: Path) -> None:
    """SQLite's online backup: one moment of the database, whoever writes meanwhile."""
    unfinished = copy.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(unfinished)) as to:
        live.backup(to)
        to.execute("PRAGMA journal_mode=DELETE")  # one file, whole without its -wal
    unfinished.replace(copy)


def _artifacts_of(copy: Path) -> set[str]:
    database = Database(f"sqlite:///{copy}")
    try:
        with database.read() as s:
            return _named(s)
    finally:
        database.close()


def _named(s: Session) -> set[str]:
    columns = [
        column
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name in NAMES
    ]
    return {name for column in columns for name in s.scalars(select(column).distinct()) if name}


def _copied(artifacts: Artifacts, copies: Artifacts, name: str) -> bool:
    if copies.exists(name):
        return True
    try:
        copies.put(artifacts.get(name))
    except ArtifactMissing:
        return False
    return True

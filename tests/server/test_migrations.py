from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from server.database import Database, check_version, migrate
from server.errors import DatabaseVersionError
from server.models import Base


def _rows(url: str, statement: str) -> list[tuple[object, ...]]:
    database = Database(url)
    with database.engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(statement))]
    database.close()
    return rows


def test_migrations_make_exactly_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {
            "alembic_version",
            *Base.metadata.tables,
        }


def test_running_them_twice_changes_nothing(empty_url: str) -> None:
    migrate(empty_url)
    before = _rows(empty_url, "SELECT version_num FROM alembic_version")
    migrate(empty_url)
    assert _rows(empty_url, "SELECT version_num FROM alembic_version") == before
    check_version(empty_url)


def test_several_processes_may_run_them_at_once(empty_url: str) -> None:
    command = [sys.executable, "-c", f"from server.database import migrate; migrate({empty_url!r})"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    check_version(empty_url)


def test_a_database_without_tables_is_refused_with_the_remedy(empty_url: str) -> None:
    with pytest.raises(DatabaseVersionError, match=r"run: clipwise migrate$"):
        check_version(empty_url)


def test_a_database_of_a_newer_version_is_refused(database: Database, database_url: str) -> None:
    with database.engine.execution_options(clipwise_begin="IMMEDIATE").begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (check_version, migrate):
        with pytest.raises(DatabaseVersionError, match="made by a newer Clipwise") as caught:
            use(database_url)
        assert "\n" not in caught.value.message
    assert _rows(database_url, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_a_migration_that_fails_leaves_nothing(empty_url: str, tmp_path: Path) -> None:
    """All of it is one transaction, on SQLite too."""
    script = (
        "import server.database as d; from alembic import op\n"
        "real = op.create_table\n"
        "def fails(name, *a, **k):\n"
        "    if name == 'metrics': raise KeyError('power cut')\n"
        "    return real(name, *a, **k)\n"
        f"op.create_table = fails\nd.migrate({empty_url!r})"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "power cut" in result.stderr
    database = Database(empty_url)
    with database.engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    database.close()
    migrate(empty_url)
    check_version(empty_url)

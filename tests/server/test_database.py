from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from server.database import Database, check_version, migrate
from server.errors import DatabaseError
from server.models import Person

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def people(database: Database) -> list[str]:
    with database.read() as s:
        return list(s.scalars(select(Person.name).order_by(Person.id)))


def add(database: Database, *names: str) -> None:
    with database.write() as s:
        s.add_all([Person(name=name, created_at=NOW) for name in names])


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/var/clipwise.db")
    database.migrate()
    yield database
    database.close()


def test_what_is_written_is_committed_at_the_end(database: Database) -> None:
    add(database, "ada")
    assert people(database) == ["ada"]


def test_an_error_rolls_everything_back(database: Database) -> None:
    def fail() -> None:
        with database.write() as s:
            s.add(Person(name="ada", created_at=NOW))
            s.flush()
            raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        fail()
    assert people(database) == []


def test_a_reader_cannot_write(database: Database) -> None:
    statement = insert(Person).values(name="ada", created_at=NOW)
    with pytest.raises((DBAPIError, DatabaseError)), database.read() as s:
        s.execute(statement)
    add(database, "bob")
    assert people(database) == ["bob"]


def test_a_reader_sees_one_snapshot_and_holds_nobody_up(database: Database) -> None:
    with database.read() as reader:
        assert reader.scalar(select(func.count()).select_from(Person)) == 0
        add(database, "ada")
        assert reader.scalar(select(func.count()).select_from(Person)) == 0
    assert people(database) == ["ada"]


def test_read_then_write_is_never_a_lost_update(database: Database) -> None:
    """Writers on SQLite wait for each other before they read."""
    add(database, "0")

    def count_up() -> None:
        for _ in range(10):
            with database.write() as s:
                person = s.scalars(select(Person).with_for_update()).one()
                person.name = str(int(person.name) + 1)

    threads = [threading.Thread(target=count_up) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert people(database) == ["50"]


def test_times_come_back_in_utc_and_naive_ones_are_refused(database: Database) -> None:
    with database.write() as s:
        s.add(Person(name="ada", created_at=datetime.fromisoformat("2026-06-01T14:30:00+02:00")))
    with database.read() as s:
        stored = s.scalars(select(Person.created_at)).one()
    assert stored == datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    assert stored.utcoffset() is not None
    with pytest.raises(Exception, match="naive datetime"), database.write() as s:
        s.add(Person(name="bob", created_at=datetime(2026, 6, 1)))


def test_foreign_keys_hold(database: Database) -> None:
    statement = "INSERT INTO teachers (kind, name, person_id, settings) VALUES (:k, 'x', 9, '{}')"
    with pytest.raises(DBAPIError), database.write() as s:
        s.execute(text(statement), {"k": "person"})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://localhost/x",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql+nothing://localhost/x",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(DatabaseError, match="CLIPWISE_DATABASE_URL must be") as caught:
        Database(url)
    assert "\n" not in caught.value.message


def refused(url: str, *, words: str) -> None:
    """Both commands that open a database say in one line what is wrong, without passwords."""
    with pytest.raises(DatabaseError, match=words) as caught:
        migrate(url)
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message


def test_no_server_is_said_in_one_line() -> None:
    url = "postgresql://ada:secret@127.0.0.1:1/clipwise"
    refused(url, words="cannot be reached")
    with pytest.raises(DatabaseError, match="cannot be reached"):
        check_version(url)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_was_started_again_costs_no_request(database: Database) -> None:
    add(database, "ada")
    with database.read() as one, database.read() as other:  # two connections, kept afterwards
        assert one.scalar(select(func.count(Person.id))) == other.scalar(
            select(func.count(Person.id))
        )
    with database.read() as s:
        others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        pids = set(s.scalars(text(f"{others} AND pid <> pg_backend_pid()")))
        assert pids
        s.execute(
            text(
                f"SELECT pg_terminate_backend(pid) FROM ({others} AND pid <> pg_backend_pid()) AS o"
            )
        )
    add(database, "grace")
    with database.read() as one, database.read() as other:
        assert set(one.scalars(select(Person.name))) == {"ada", "grace"}
        assert set(other.scalars(select(Person.name))) == {"ada", "grace"}


def test_no_such_database_is_said_in_one_line(postgres: str) -> None:
    refused(postgres.replace("/postgres?", "/nowhere?"), words='"nowhere" does not exist')


def test_a_file_where_the_folder_should_be_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("not a folder")
    refused(f"sqlite:///{tmp_path}/var/clipwise.db", words="cannot make the folder")


def test_a_file_that_is_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "clipwise.db").write_text("to do: water the plants\n" * 100)
    refused(f"sqlite:///{tmp_path}/clipwise.db", words="not an SQLite database")


def test_a_missing_file_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="cannot be opened"):
        check_version(f"sqlite:///{tmp_path}/nowhere/clipwise.db")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_database_is_said_in_one_line(sqlite: Database) -> None:
    path = sqlite.engine.url.database
    read_only = Database(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert people(read_only) == []
    with pytest.raises(DatabaseError, match="cannot be written") as caught:
        add(read_only, "ada")
    assert "\n" not in caught.value.message
    read_only.close()


def test_a_full_disk_is_said_in_one_line_and_nothing_is_half_written(sqlite: Database) -> None:
    add(sqlite, "before")
    with sqlite.read() as s:  # the pool gives this connection to the next writer too
        s.execute(text(f"PRAGMA max_page_count = {s.scalar(text('PRAGMA page_count'))}"))
    with pytest.raises(DatabaseError, match="disk is full; free some space"):
        add(sqlite, *(f"{i:080}" for i in range(500)))
    assert people(sqlite) == ["before"]


def test_a_file_size_limit_is_said_in_one_line(sqlite: Database) -> None:
    """The limit on file sizes stands in for a disk that fills up under the write-ahead log."""
    script = f"""
import resource, signal
from datetime import UTC, datetime
from server.database import Database
from server.errors import DatabaseError
from server.models import Person
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    with Database({str(sqlite.engine.url)!r}).write() as s:
        s.add_all([Person(name=f"{{i:080}}", created_at=datetime.now(UTC)) for i in range(20000)])
except DatabaseError as error:
    print(error.message)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert re.search(r"clipwise\.db: .*(disk|space).*\n\Z", result.stdout), result
    assert result.stdout.count("\n") == 1
    assert people(sqlite) == []


def test_a_locked_database_is_said_in_one_line(sqlite: Database) -> None:
    impatient = Database(f"{sqlite.engine.url}")
    with impatient.read() as s:  # the pool gives this connection to the next writer too
        s.execute(text("PRAGMA busy_timeout = 50"))
    with sqlite.write() as s:
        s.add(Person(name="ada", created_at=NOW))
        s.flush()
        with pytest.raises(DatabaseError, match="stays locked"):
            add(impatient, "bob")
    impatient.close()


def test_the_store_needs_neither_torch_nor_the_web() -> None:
    script = (
        "import sys, server.database, server.artifacts, server.settings\n"
        "from server.store import (assignments, metrics, people, preferences, progress, queries,"
        " runs, trajectories, versions)\n"
        "print({'torch', 'fastapi', 'procgen', 'stable_baselines3'} & set(sys.modules))"
    )
    output = subprocess.check_output([sys.executable, "-c", script], text=True, env=os.environ)
    assert output == "set()\n"

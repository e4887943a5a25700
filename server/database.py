"""The database: SQLite by default, PostgreSQL by its URL.

Every transaction begins and ends here, at the edge: `Database.write` and `Database.read`. Writers
on SQLite begin with BEGIN IMMEDIATE, so that they queue instead of failing half way; readers see
one snapshot on both databases and cannot write.
"""

from __future__ import annotations

import select
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from server.errors import DatabaseError, DatabaseVersionError

_MIGRATION_LOCK = 4_107_212_001  # any number, the same in every version
# One for each of the server's threads (`server.app.THREADS`), some for what it does besides. What
# goes beyond the size is closed when it is given back, and connections are dear to make.
_POOL = {"pool_size": 16, "max_overflow": 16}


def make_engine(url: str) -> Engine:
    """Open a pool of connections; nothing is connected yet.

    Raises:
        DatabaseError: not a URL of SQLite with a file, or of PostgreSQL with its driver.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite_engine(url, parsed.database)
        if parsed.get_backend_name() == "postgresql":
            return _postgresql_engine(url)
    except ModuleNotFoundError as error:
        raise DatabaseError(
            "the PostgreSQL driver is missing; pip install 'clipwise[postgres]'"
        ) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise _bad_url() from error
    raise _bad_url()


class Database:
    """One database, shared by the threads of a process."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._where = self.engine.url.render_as_string(hide_password=True)
        self._writer = self.engine.execution_options(clipwise_begin="IMMEDIATE")
        self._reader = self.engine.execution_options(clipwise_begin="DEFERRED")
        self._glancer = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        if self.engine.dialect.name == "postgresql":
            self._reader = self.engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction that may write: committed at the end, rolled back on any error.

        Raises:
            DatabaseError: it cannot be reached or written, or stays locked.
        """
        with (
            self._explained(),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One transaction that sees one snapshot and cannot write.

        Raises:
            DatabaseError: it cannot be reached or read.
        """
        with self._explained(), Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """For one statement that reads: it sees one snapshot without a transaction's round trips.

        Raises:
            DatabaseError: it cannot be reached or read.
        """
        with self._explained(), self._glancer.connect() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables up to this version; harmless when they are, or when two do it at once.

        Raises:
            DatabaseVersionError: the database is of a newer version.
            DatabaseError: it cannot be reached or written.
        """
        with self._explained():
            if self.engine.dialect.name == "sqlite":
                _prepare_file(self.engine)
            with self._writer.begin() as connection:
                if self.engine.dialect.name == "postgresql":
                    lock = text("SELECT pg_advisory_xact_lock(:key)")
                    connection.execute(lock, {"key": _MIGRATION_LOCK})
                self._refuse_newer(connection)
                config = _alembic()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def check_version(self) -> None:
        """Make sure that the tables are those of this version.

        Raises:
            DatabaseVersionError: newer, older or empty.
            DatabaseError: it cannot be reached or read.
        """
        with self._explained(), self._reader.connect() as connection:
            revision = self._refuse_newer(connection)
        if revision != ScriptDirectory.from_config(_alembic()).get_current_head():
            raise DatabaseVersionError(f"{self._where} is not up to date; run: clipwise migrate")

    def close(self) -> None:
        """Close the pool."""
        self.engine.dispose()

    def _refuse_newer(self, connection: Connection) -> str | None:
        revision = MigrationContext.configure(connection).get_current_revision()
        scripts = ScriptDirectory.from_config(_alembic()).walk_revisions()
        if revision is not None and revision not in {script.revision for script in scripts}:
            raise DatabaseVersionError(
                f"{self._where} was made by a newer Clipwise (schema {revision}); "
                "upgrade this program"
            )
        return revision

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what only an operator can put right into one line."""
        try:
            yield
        except PoolTimeout as error:
            raise DatabaseError(f"{self._where}: too many requests at once; try again") from error
        except DBAPIError as error:
            reason = _reason(error)
            if reason is None:
                raise
            raise DatabaseError(f"{self._where}: {reason}") from error


def migrate(url: str) -> None:
    """Bring the database at `url` up to this version; see `Database.migrate`."""
    database = Database(url)
    try:
        database.migrate()
    finally:
        database.close()


def check_version(url: str) -> None:
    """Make sure that the database at `url` is of this version; see `Database.check_version`."""
    database = Database(url)
    try:
        database.check_version()
    finally:
        database.close()


def _bad_url() -> DatabaseError:
    return DatabaseError(
        "CLIPWISE_DATABASE_URL must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    )


def _postgresql_engine(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True, **_POOL)

    @event.listens_for(engine, "checkout")
    def _ask_if_told(connection: DBAPIConnection, _record: object, _proxy: object) -> None:
        """Ping only where something waits to be read: a server that ends closes its connections.

        Asked each time, that would be one more round trip for every transaction.
        """
        told = select.poll()
        told.register(connection.fileno(), select.POLLIN)
        if not told.poll(0):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error

    return engine


def _sqlite_engine(url: str, path: str | None) -> Engine:
    if not path or path == ":memory:":
        raise _bad_url()
    engine = create_engine(url, connect_args={"timeout": 20}, hide_parameters=True, **_POOL)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin in `_begin`, not in the driver
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return
        mode = options.get("clipwise_begin", "DEFERRED")
        connection.exec_driver_sql(f"PRAGMA query_only={int(mode == 'DEFERRED')}")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _prepare_file(engine: Engine) -> None:
    """Make the folder of an SQLite file and switch the file to WAL, which it remembers."""
    folder = Path(engine.url.database or "").parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"cannot make the folder {folder}: {error.strerror}; set CLIPWISE_VAR to a folder "
            "that can be written"
        ) from error
    with engine.connect() as connection:
        connection.rollback()  # the mode cannot be changed within a transaction
        connection.connection.execute("PRAGMA query_only=0")
        connection.connection.execute("PRAGMA journal_mode=WAL")


@cache
def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    return config


_SQLITE_REASONS = {
    sqlite3.SQLITE_BUSY: "it stays locked by another program; close it and try again",
    sqlite3.SQLITE_READONLY: "it cannot be written; make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that its folder exists and is writable",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written; check space and hardware",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database; choose another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore it from a backup",
}

_POSTGRESQL_REASONS = {
    "53100": "its disk is full; free some space",
    "40P01": "two changes were in each other's way; try again",
    "40001": "two changes were in each other's way; try again",
}


def _reason(error: DBAPIError) -> str | None:
    """Why the database cannot be used, or None where the program itself is at fault."""
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return _SQLITE_REASONS.get(getattr(original, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(original, "sqlstate", None)
    if state in _POSTGRESQL_REASONS:
        return _POSTGRESQL_REASONS[state]
    if error.connection_invalidated or (state is None and isinstance(error, OperationalError)):
        return f"cannot be reached ({str(original).splitlines()[0]}); check the server and the URL"
    return None

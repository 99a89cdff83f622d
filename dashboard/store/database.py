"""One database behind one setting: an SQLite file or a PostgreSQL server."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from dashboard.store.migrations import migrate
from emoshift.credentials import mask_credentials
from emoshift.errors import StoreError, UnavailableError
from emoshift.private_files import make_private

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from sqlalchemy import Table

LOG: Final = logging.getLogger(__name__)

CONNECTION_ERRORS: Final = (OperationalError,)
"""What a database raises that is away, restarting or locked: wait and try again."""

NO_ANSWER: Final = (DBAPIError, PoolTimeoutError)
"""What is raised where a database gives no answer: away, damaged, or all connections in use."""

_PASSING: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
"""Of SQLite: held by another process, on a full disk, or on one that fails just now."""

_BUSY_MS: Final = 10_000
_RETRY_S: Final = 0.5


def open_engine(setting: str) -> Engine:
    """Make an engine for a path (SQLite) or a ``postgresql://`` address; nothing is opened yet.

    Raises:
        StoreError: The setting names neither.
    """
    if setting.startswith(("postgresql://", "postgres://")):
        try:
            url = make_url(setting).set(drivername="postgresql+psycopg")
        except (ArgumentError, NoSuchModuleError) as why:
            raise StoreError(f"database: {why}; give postgresql://user@host/name") from None
        engine = create_engine(
            url, pool_pre_ping=True, pool_size=8, connect_args={"connect_timeout": 5}
        )
        event.listen(engine, "connect", _prepare_postgresql)
        return engine
    if "://" in setting:
        kind = setting.split("://", 1)[0]
        raise StoreError(f"database: found {kind}://, expected a file or postgresql://...")
    engine = create_engine(f"sqlite:///{setting}", connect_args={"timeout": _BUSY_MS / 1000})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def open_store(setting: str) -> Engine:
    """Open the database and bring it to this version.

    Raises:
        StoreError: It cannot be opened, or is newer than this program.
        UnavailableError: The server does not answer, or not yet; the file is locked, or its disk
            is full.
    """
    engine = open_engine(setting)
    if engine.dialect.name == "sqlite" and engine.url.database:
        make_private(Path(engine.url.database))
    try:
        migrate(engine)
    except StoreError:
        engine.dispose()
        raise
    except DatabaseError as why:
        engine.dispose()
        said = f"{engine.url!r}: cannot be opened: {why.orig}"
        if engine.dialect.name == "sqlite":
            said = f"{engine.url.database}: cannot be opened: {why.orig}"
            if "unable to open" in said:
                said += "; check that its folder is there and that this user may write into it"
        if _may_pass(why):
            raise UnavailableError(said) from why
        raise StoreError(said) from why
    return engine


def _may_pass(why: Exception) -> bool:
    """Whether another try later may succeed without anybody's help."""
    orig = getattr(why, "orig", None)
    if isinstance(orig, sqlite3.Error):
        return getattr(orig, "sqlite_errorcode", 0) & 0xFF in _PASSING
    return isinstance(why, (*CONNECTION_ERRORS, PoolTimeoutError))


@contextlib.contextmanager
def database_errors(setting: str) -> Iterator[None]:
    """Turn what a database raises in the block into an error of one line.

    Raises:
        StoreError: It is damaged, lacks a table, or refuses this user.
        UnavailableError: It is away, locked, or its disk is full.
    """
    try:
        yield
    except NO_ANSWER as why:
        said = str(getattr(why, "orig", why)).strip().split("\n", 1)[0]
        kind = UnavailableError if _may_pass(why) else StoreError
        raise kind(f"{mask_credentials(setting)}: {said}") from why


def await_store(setting: str, stop: threading.Event) -> Engine | None:
    """Open the database, however long that fails for now; ``None`` when told to stop.

    Raises:
        StoreError: It cannot be opened, or is newer than this program.
    """
    warned = False
    while not stop.is_set():
        try:
            return open_store(setting)
        except UnavailableError as why:
            LOG.log(logging.DEBUG if warned else logging.WARNING, "database: away: %s", why)
            warned = True
            stop.wait(_RETRY_S)
    return None


def is_read_only_begin(connection: Any) -> bool:
    """Whether the transaction was announced as reading only."""
    return bool(connection.get_execution_options().get("reads_only", False))


def insert_into(engine: Engine, table: Table) -> Any:
    """Begin an ``INSERT`` that knows ``ON CONFLICT`` in the dialect of the engine."""
    return postgresql.insert(table) if engine.dialect.name == "postgresql" else sqlite.insert(table)


def _prepare_sqlite(raw: Any, _record: object) -> None:
    raw.isolation_level = None  # transactions are begun below, not by the driver's guess
    for pragma in (
        "journal_mode=WAL",  # readers never wait for the writer
        "synchronous=FULL",  # what is acknowledged to the broker is on the disk
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_MS}",
        "temp_store=MEMORY",
        "cache_size=-65536",
    ):
        raw.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(raw: Any, _record: object) -> None:
    """See that a commit waits for the disk, whatever the server's default is."""
    with raw.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        if cursor.fetchone()[0] == "off":
            cursor.execute("SET synchronous_commit = on")
    raw.commit()


def _begin_sqlite(connection: Any) -> None:
    # A writer says so at once: two that read first and then write would deadlock.
    connection.exec_driver_sql("BEGIN" if is_read_only_begin(connection) else "BEGIN IMMEDIATE")

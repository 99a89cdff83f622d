"""How a database of any earlier version becomes one of this version, in order, each step once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    insert,
    inspect,
    literal,
    select,
    text,
    true,
    update,
)
from sqlalchemy.exc import OperationalError, ProgrammingError

from dashboard.store import schema as tables
from emoshift.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

_VERSION: Final = Table(
    "schema_version", MetaData(), Column("version", Integer, primary_key=True, autoincrement=False)
)

_LOCK: Final = 0x656D6F73  # any number, the same for every process that migrates


def _history(connection: Connection) -> None:
    """1: devices, their events and the aggregates by minute."""
    wanted = (
        tables.DEVICE,
        tables.BOOT,
        tables.MODEL,
        tables.EVENT,
        tables.TALLY,
        tables.CLASS,
        tables.HEALTH,
        tables.NOTE,
        tables.PROBLEM,
        tables.WORKER,
    )
    tables.METADATA.create_all(connection, tables=wanted)


def _people(connection: Connection) -> None:
    """2: who may look, and the marks they set."""
    wanted = (tables.ACCOUNT, tables.SESSION, tables.LESSON)
    tables.METADATA.create_all(connection, tables=wanted)


def _access(connection: Connection) -> None:
    """3: which classes a viewer may see, browsers that have signed in before, the audit log.

    Until then every viewer saw every class; those that exist keep that, visibly (``*``).
    """
    wanted = (tables.KNOWN_BROWSER, tables.ACCESS, tables.CLASS_GROUP, tables.AUDIT)
    tables.METADATA.create_all(connection, tables=wanted)
    viewers = select(tables.ACCOUNT.c.name, literal("*")).where(tables.ACCOUNT.c.role == "viewer")
    connection.execute(insert(tables.ACCESS).from_select(["account", "place"], viewers))


def _annotations(connection: Connection) -> None:
    """4: notes of a teacher on the time line."""
    tables.METADATA.create_all(connection, tables=(tables.ANNOTATION,))


def _registry(connection: Connection) -> None:
    """5: which devices are believed; those that are known already are."""
    tables.METADATA.create_all(connection, tables=(tables.ENROLMENT, tables.REGISTRY))
    connection.execute(insert(tables.REGISTRY).values(version=1))
    device = tables.DEVICE.c
    known = select(
        device.site, device.name, true(), device.first_seen_ms, device.seen_ms, literal("migration")
    )
    names = ["site", "name", "approved", "first_ms", "seen_ms", "by"]
    connection.execute(insert(tables.ENROLMENT).from_select(names, known))


def _dead_letters(connection: Connection) -> None:
    """6: messages that the database refuses, and what a worker reports of its last commit."""
    tables.METADATA.create_all(connection, tables=(tables.DEAD_LETTER,))
    _add_columns(connection, "worker", ("committed_ms", "lag_ms", "set_aside"))


def _windows(connection: Connection) -> None:
    """7: what viewers see of a class, once and for all."""
    tables.METADATA.create_all(connection, tables=(tables.CLASS_WINDOW,))
    _add_columns(connection, "class_minute", ("windows",))


def _add_columns(connection: Connection, table: str, names: Sequence[str]) -> None:
    """Add numbers to a table; one made by this version has them."""
    known = {column["name"] for column in inspect(connection).get_columns(table)}
    for name in names:
        if name not in known:
            connection.execute(
                text(f"ALTER TABLE {table} ADD COLUMN {name} BIGINT NOT NULL DEFAULT 0")
            )


def _marks(connection: Connection) -> None:
    """8: what teachers say was right or wrong."""
    tables.METADATA.create_all(connection, tables=(tables.MARK,))


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (
    _history,
    _people,
    _access,
    _annotations,
    _registry,
    _dead_letters,
    _windows,
    _marks,
)


def migrate(engine: Engine, *, to: int = len(STEPS)) -> int:
    """Bring the database to version ``to`` and return the version it had.

    Several processes may call this at once; one does the work.

    Raises:
        StoreError: The database is of a newer version than this program knows.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _VERSION.create(connection, checkfirst=True)
        found = connection.execute(select(_VERSION.c.version)).scalar()
        if found is None:
            connection.execute(insert(_VERSION).values(version=0))
            found = 0
        if found > len(STEPS):
            raise StoreError(
                f"{engine.url!r}: database version {found}, this program knows up to"
                f" {len(STEPS)}; install the version of the dashboard that wrote it"
            )
        for number, step in enumerate(STEPS[found:to], start=found + 1):
            step(connection)
            connection.execute(update(_VERSION).values(version=number))
    return int(found)


def version(engine: Engine) -> int:
    """Return the version of a database; 0 for an empty one."""
    try:
        with engine.connect() as connection:
            return int(connection.execute(select(_VERSION.c.version)).scalar() or 0)
    except (OperationalError, ProgrammingError):
        return 0

"""The tables of the outbox file: made, brought over from the first release, read when damaged."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from typing import TYPE_CHECKING, Any, Final

from edge.outbox.records import (
    WIDTH,
    Record,
    add_to_counter,
    as_text,
    checksum,
    damage,
    insert_all,
    read_record,
)
from emoshift.messages import Transition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

VERSION: Final = 2
APPLICATION_ID: Final = 0x454D4F00 | VERSION
"""Says the version a second time, so that a flipped bit does not pass for a newer release."""

_EVENT_COLUMNS: Final = (
    "id INTEGER PRIMARY KEY, boot TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL,"
    " kernel TEXT NOT NULL, monotonic_s REAL NOT NULL, utc_s REAL NOT NULL,"
    " synced INTEGER NOT NULL, crc INTEGER NOT NULL"
)
TABLES: Final = {
    # Events that no broker has acknowledged.
    "queue": f"CREATE TABLE queue ({_EVENT_COLUMNS})",
    # Events that a broker has acknowledged, kept for a while so that they can be asked for again.
    "sent": f"CREATE TABLE sent ({_EVENT_COLUMNS})",
    # Rows that cannot be sent: refused by the broker again and again, or not what was written.
    "dead": f"CREATE TABLE dead ({_EVENT_COLUMNS}, reason TEXT NOT NULL, since_s REAL NOT NULL)",
    # Numbers that no subscriber can get any more.
    "loss": "CREATE TABLE loss (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, reason TEXT NOT NULL, utc_s REAL NOT NULL, crc INTEGER NOT NULL)",
    # The last number given under each boot id.
    "run": "CREATE TABLE run (boot TEXT PRIMARY KEY, last INTEGER NOT NULL, crc INTEGER NOT NULL)"
    " WITHOUT ROWID",
    "snapshot": "CREATE TABLE snapshot (kind TEXT PRIMARY KEY, body BLOB NOT NULL,"
    " kernel TEXT NOT NULL, monotonic_s REAL NOT NULL, version INTEGER NOT NULL,"
    " crc INTEGER NOT NULL) WITHOUT ROWID",
    "counter": "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL,"
    " crc INTEGER NOT NULL) WITHOUT ROWID",
}

_FIRST_RELEASE: Final = (
    "CREATE TABLE event (\n            id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL,"
    " crc INTEGER NOT NULL,\n            kernel TEXT NOT NULL, monotonic_s REAL NOT NULL,"
    " utc_s REAL NOT NULL,\n            synced INTEGER NOT NULL)"
)
_MIGRATED_AT_A_TIME: Final = 500


class NewerFileError(Exception):
    """The file was written by a newer release."""


def create_tables(db: sqlite3.Connection) -> None:
    """Make the tables of a new file, bring over those of an earlier release, verify the others.

    Raises:
        NewerFileError: A newer release wrote the file.
        sqlite3.DatabaseError: The tables are not what any release makes: damage.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    stamp = int(db.execute("PRAGMA application_id").fetchone()[0])
    found = {
        as_text(name): as_text(sql)
        for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        if not as_text(name).startswith("sqlite_")
    }
    newer = version > VERSION and (stamp == 0 or stamp == (APPLICATION_ID & ~0xFF) | version)
    if newer and found != TABLES:
        raise NewerFileError(version)
    if newer and stamp:
        raise NewerFileError(version)
    if found == TABLES:
        if (version, stamp) != (VERSION, APPLICATION_ID):
            _stamp(db)
        return
    first = found.get("event") == _FIRST_RELEASE
    if found and not first:
        raise damage(f"tables {', '.join(sorted(found))} are not those of an outbox")
    db.execute("BEGIN IMMEDIATE")
    try:
        _make_tables(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    while first and _migrate_some(db):
        pass
    _stamp(db)


def _stamp(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA user_version={VERSION}")
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")


def _make_tables(db: sqlite3.Connection) -> None:
    """Make what is missing; the short tables of the first release had other columns."""
    found = {as_text(name) for (name,) in db.execute("SELECT name FROM sqlite_master")}
    for name, statement in TABLES.items():
        if name in found and name in {"snapshot", "counter"}:
            columns = db.execute(f"PRAGMA table_info({name})").fetchall()
            if any(as_text(column[1]) == "crc" for column in columns):
                continue
            rows = db.execute(f"SELECT * FROM {name}").fetchall()
            db.execute(f"DROP TABLE {name}")
            db.execute(statement)
            insert_all(db, name, [(*row, checksum(*row)) for row in rows])
        elif name not in found:
            db.execute(statement)


def _migrate_some(db: sqlite3.Connection) -> bool:
    """Move some events of the first release; False when none are left.

    In small steps, because a disk may have little space left. The other process may do the same at
    the same time.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        more = _move_some(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return more


def _move_some(db: sqlite3.Connection) -> bool:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'event'").fetchone():
        return False
    left = db.execute("SELECT * FROM event ORDER BY id LIMIT ?", (_MIGRATED_AT_A_TIME,)).fetchall()
    if not left:
        db.execute("DROP TABLE event")
        return False
    moved = [from_first_release(record) for record in left]
    insert_all(db, "queue", filter(None, moved))
    if bad := moved.count(None):
        add_to_counter(db, "dropped", bad)
        add_to_counter(db, "damaged", bad)
    db.execute("DELETE FROM event WHERE id <= ?", (left[-1][0],))
    return True


def from_first_release(record: Record) -> Record | None:
    """Turn a row of the first release into one of this; ``None`` where it is damaged."""
    number, body, crc, boot_session, monotonic_s, utc_s, synced = record
    try:
        if zlib.crc32(body) != crc:
            return None
        event = Transition.from_json(body)
    except (ValueError, TypeError, KeyError):
        return None
    values = (
        number,
        event.boot_id,
        event.seq,
        body,
        as_text(boot_session),
        monotonic_s,
        utc_s,
        synced,
    )
    return (*values, checksum(*values))


def read_damaged_file(path: Path) -> dict[str, list[Record]]:
    """Read what can be read of a damaged file, each table from both ends towards the damage.

    Returns:
        By table the rows whose checksums fit, in the order of their keys.
    """
    found: dict[str, list[Record]] = {}
    for table in (*TABLES, "event"):
        rows: dict[object, Record] = {}
        for direction in ("ASC", "DESC"):
            with (
                contextlib.suppress(sqlite3.Error, OverflowError, ValueError),
                contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db,
            ):
                db.text_factory = bytes
                for row in db.execute(f"SELECT * FROM {table} ORDER BY 1 {direction}"):
                    if row[0] in rows:
                        break
                    rows[row[0]] = row
        whole = [row for row in rows.values() if _fits(table, row)]
        found[table] = sorted(whole, key=lambda row: row[0])
    found["queue"] = [
        *filter(None, map(from_first_release, found.pop("event"))),
        *found["queue"],
    ]
    return found


def _fits(table: str, row: Sequence[Any]) -> bool:
    if table == "event":
        return len(row) == 7 and from_first_release(tuple(row)) is not None
    if table in {"queue", "sent"}:
        return read_record(tuple(row)) is not None
    if table == "dead":
        return len(row) == WIDTH + 2
    return len(row) > 1 and checksum(*row[:-1]) == row[-1]

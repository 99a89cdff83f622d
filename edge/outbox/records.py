"""The tables of the outbox file, their checksummed rows, and the file of an earlier release."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from emoshift.messages import Transition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from emoshift.clock import ClockReading

VERSION: Final = 2
APPLICATION_ID: Final = 0x454D4F00 | VERSION
"""Says the version a second time, so that a flipped bit does not pass for a newer release."""

Record: TypeAlias = tuple[Any, ...]
"""A row as it lies in the file; damage may have changed the type of anything in it."""

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
COLUMNS: Final = "id, boot, seq, body, kernel, monotonic_s, utc_s, synced, crc"
_WIDTH: Final = 9

_FIRST_RELEASE: Final = (
    "CREATE TABLE event (\n            id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL,"
    " crc INTEGER NOT NULL,\n            kernel TEXT NOT NULL, monotonic_s REAL NOT NULL,"
    " utc_s REAL NOT NULL,\n            synced INTEGER NOT NULL)"
)
_MIGRATED_AT_A_TIME: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """A stored event.

    Attributes:
        id: Its place in the queue; grows, never used again.
        event: As it was stored.
        boot_session: The run of the kernel during which it was stored.
        monotonic_s, utc_s: Both clocks when it was stored, seconds.
        synced: Whether the wall clock was set then.
    """

    id: int
    event: Transition
    boot_session: str
    monotonic_s: float
    utc_s: float
    synced: bool


def checksum(*values: object) -> int:
    """Return the checksum of a whole row, whatever the types of its values have become."""
    return zlib.crc32(repr(tuple(_plain(value) for value in values)).encode())


def _plain(value: object) -> object:
    """Bring what was written and what is read back into one form: text as bytes, flags as 0, 1."""
    if isinstance(value, str):
        return value.encode()
    return int(value) if isinstance(value, bool) else value


def make_record(number: int, event: Transition, *, boot_session: str, now: ClockReading) -> Record:
    """Return the row of an event."""
    values = (
        number,
        event.boot_id,
        event.seq,
        event.to_json().encode(),
        boot_session,
        now.monotonic_s,
        now.utc_s,
        int(now.synced),
    )
    return (*values, checksum(*values))


def is_whole(record: Record) -> bool:
    """Whether a row is what was written."""
    return len(record) >= _WIDTH and checksum(*record[: _WIDTH - 1]) == record[_WIDTH - 1]


def read_record(record: Record) -> StoredEvent | None:
    """Read one row of events; ``None`` where it is not what was written."""
    if not is_whole(record):
        return None
    number, boot, seq, body, boot_session, monotonic_s, utc_s, synced = record[: _WIDTH - 1]
    try:
        event = Transition.from_json(body)
    except (ValueError, TypeError, KeyError):
        return None
    if event.boot_id.encode() != boot or event.seq != seq:
        return None
    return StoredEvent(
        id=number,
        event=event,
        boot_session=boot_session.decode(),
        monotonic_s=monotonic_s,
        utc_s=utc_s,
        synced=bool(synced),
    )


def number_of(record: Record) -> tuple[str, int] | None:
    """Return boot id and number of a row, also of a damaged one, where they can be believed."""
    boot, seq = record[1], record[2]
    if not isinstance(boot, bytes) or not isinstance(seq, int) or seq < 1:
        return None
    try:
        name = boot.decode("ascii")
    except UnicodeDecodeError:
        return None
    return (name, seq) if len(name) == 32 else None


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
        _text(name): _text(sql)
        for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        if not _text(name).startswith("sqlite_")
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


def damage(why: str) -> sqlite3.DatabaseError:
    """Return the error that SQLite itself raises for a damaged file."""
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _stamp(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA user_version={VERSION}")
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")


def _make_tables(db: sqlite3.Connection) -> None:
    """Make what is missing; the short tables of the first release had other columns."""
    found = {_text(name) for (name,) in db.execute("SELECT name FROM sqlite_master")}
    for name, statement in TABLES.items():
        if name in found and name in {"snapshot", "counter"}:
            columns = db.execute(f"PRAGMA table_info({name})").fetchall()
            if any(_text(column[1]) == "crc" for column in columns):
                continue
            rows = db.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608 - our own names
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
        _text(boot_session),
        monotonic_s,
        utc_s,
        synced,
    )
    return (*values, checksum(*values))


def insert_all(db: sqlite3.Connection, table: str, records: Iterable[Record | None]) -> None:
    """Insert rows; those whose keys are there already are left out."""
    rows = [_as_text(table, record) for record in records if record is not None]
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        db.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _as_text(table: str, record: Record) -> Record:
    """Turn what was read as bytes into text again, but for the bodies."""
    body = {"snapshot": 1, "counter": -1, "run": -1, "loss": -1}.get(table, 3)
    return tuple(
        _text(value) if isinstance(value, bytes) and place != body else value
        for place, value in enumerate(record)
    )


def read_counter(db: sqlite3.Connection, name: str) -> int:
    """Return a counter; 0 for one that is missing or damaged."""
    row = db.execute("SELECT name, value, crc FROM counter WHERE name = ?", (name,)).fetchone()
    return int(row[1]) if row is not None and checksum(name, row[1]) == row[2] else 0


def write_counter(db: sqlite3.Connection, name: str, value: int) -> None:
    """Set a counter."""
    db.execute(
        "INSERT OR REPLACE INTO counter VALUES (?, ?, ?)", (name, value, checksum(name, value))
    )


def add_to_counter(db: sqlite3.Connection, name: str, by: int) -> None:
    """Raise a counter."""
    write_counter(db, name, read_counter(db, name) + by)


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
                for row in db.execute(f"SELECT * FROM {table} ORDER BY 1 {direction}"):  # noqa: S608
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
        return len(row) == _WIDTH + 2
    return len(row) > 1 and checksum(*row[:-1]) == row[-1]


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

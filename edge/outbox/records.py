"""The rows of the outbox file, each with its checksum."""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from emoshift.messages import Transition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emoshift.clock import ClockReading

Record: TypeAlias = tuple[Any, ...]
"""A row as it lies in the file; damage may have changed the type of anything in it."""

COLUMNS: Final = "id, boot, seq, body, kernel, monotonic_s, utc_s, synced, crc"
WIDTH: Final = 9
"""Columns of an event, the checksum last."""


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
    return len(record) >= WIDTH and checksum(*record[: WIDTH - 1]) == record[WIDTH - 1]


def read_record(record: Record) -> StoredEvent | None:
    """Read one row of events; ``None`` where it is not what was written."""
    if not is_whole(record):
        return None
    number, boot, seq, body, boot_session, monotonic_s, utc_s, synced = record[: WIDTH - 1]
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


def damage(why: str) -> sqlite3.DatabaseError:
    """Return the error that SQLite itself raises for a damaged file."""
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def insert_all(db: sqlite3.Connection, table: str, records: Iterable[Record | None]) -> None:
    """Insert rows; those whose keys are there already are left out."""
    rows = [_restore_text(table, record) for record in records if record is not None]
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        db.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)


def _restore_text(table: str, record: Record) -> Record:
    """Turn what was read as bytes into text again, but for the bodies."""
    body = {"snapshot": 1, "counter": -1, "run": -1, "loss": -1}.get(table, 3)
    return tuple(
        as_text(value) if isinstance(value, bytes) and place != body else value
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


def as_text(value: object) -> str:
    """Turn what was read as bytes into text, whatever it has become."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

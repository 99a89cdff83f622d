"""The statements on an open outbox file; each takes the connection and raises SQLite's errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.outbox.losses import lowest_numbers
from edge.outbox.records import (
    COLUMNS,
    Record,
    checksum,
    damage,
    is_whole,
    number_of,
    read_counter,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from emoshift.clock import ClockReading

_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The latest word on something of which only the latest matters.

    Attributes:
        kind: Which message it is.
        body: The message, JSON.
        boot_session, monotonic_s: When it was written.
        version: Grows with every writing.
    """

    kind: str
    body: str
    boot_session: str
    monotonic_s: float
    version: int


def waiting(db: sqlite3.Connection, *, after: int, before: int | None, limit: int) -> list[Record]:
    """Return the oldest rows of the queue between two ids; 0 and ``None`` leave out none.

    A damaged id may be any number.
    """
    return db.execute(
        f"SELECT {COLUMNS} FROM queue WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
        (after or _LOWEST, _HIGHEST if before is None else before - 1, limit),
    ).fetchall()


def newest_id(db: sqlite3.Connection) -> int:
    """Return the largest id in the queue; 0 when it is empty."""
    return int(db.execute("SELECT coalesce(max(id), 0) FROM queue").fetchone()[0])


def count(db: sqlite3.Connection, table: str) -> int:
    """Return how many rows a table has."""
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def next_id(db: sqlite3.Connection) -> int:
    """Return an id larger than any that was used."""
    largest = [read_counter(db, "id")]
    for table in ("queue", "sent", "dead"):
        row = db.execute(f"SELECT {COLUMNS} FROM {table} ORDER BY id DESC LIMIT 1").fetchone()
        if row is not None and is_whole(row):  # a damaged id may be enormous
            largest.append(row[0])
    return max(largest) + 1


def numbers(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return boot id and number of everything in the queue."""
    found = db.execute(f"SELECT {COLUMNS} FROM queue")
    return [number for record in found if (number := number_of(record)) is not None]


def delete(db: sqlite3.Connection, ids: Iterable[int], table: str = "queue") -> list[int]:
    """Delete rows by their ids; returns those that were there."""
    statement = f"DELETE FROM {table} WHERE id = ?"
    return [number for number in ids if db.execute(statement, (number,)).rowcount]


def move_to_sent(db: sqlite3.Connection, ids: Sequence[int], *, elsewhere: frozenset[int]) -> None:
    """Take rows out of the queue, and keep them for those who ask again.

    Args:
        db: The outbox file.
        ids: Which rows.
        elsewhere: Those of them that need not be there.

    Raises:
        sqlite3.DatabaseError: A row is there and cannot be found by its id: damage.
    """
    for number in ids:
        db.execute(
            f"INSERT OR IGNORE INTO sent SELECT {COLUMNS} FROM queue WHERE id = ?",
            (number,),
        )
        if db.execute("DELETE FROM queue WHERE id = ?", (number,)).rowcount:
            continue
        if number in elsewhere:
            continue
        if db.execute("SELECT 1 FROM queue WHERE +id = ?", (number,)).fetchone():
            raise damage(f"row {number} cannot be deleted")


def sent(
    db: sqlite3.Connection, boot_id: str, first: int, last: int, *, limit: int
) -> list[Record]:
    """Return rows that were acknowledged, by their numbers."""
    return db.execute(
        f"SELECT {COLUMNS} FROM sent WHERE boot = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
        (boot_id, first, last, limit),
    ).fetchall()


def lowest_kept(db: sqlite3.Connection) -> dict[str, int]:
    """Return by boot id the lowest number that waits or can be sent again."""
    return lowest_numbers(db, "queue", "sent")


def lowest_waiting(db: sqlite3.Connection) -> dict[str, int]:
    """Return by boot id the lowest number that waits."""
    return lowest_numbers(db, "queue")


def in_order(db: sqlite3.Connection, runs: Mapping[str, int]) -> list[tuple[str, int]]:
    """Sort boot ids by the place of their events, those without any last."""
    place: dict[str, int] = {}
    for table in ("sent", "queue"):
        for boot, number in db.execute(f"SELECT boot, max(id) FROM {table} GROUP BY boot"):
            if isinstance(boot, bytes):
                place[boot.decode("ascii", "replace")] = number
    return sorted(runs.items(), key=lambda run: place.get(run[0], 2**63))


def write_snapshot(
    db: sqlite3.Connection, kind: str, body: str, *, boot_session: str, now: ClockReading
) -> None:
    """Replace the latest word of a kind."""
    row = db.execute("SELECT version FROM snapshot WHERE kind = ?", (kind,)).fetchone()
    version = 1 if row is None or not isinstance(row[0], int) else row[0] + 1
    values = (kind, body.encode(), boot_session, now.monotonic_s, version % 2**53)
    db.execute(
        "INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?, ?, ?)", (*values, checksum(*values))
    )


def read_snapshots(db: sqlite3.Connection) -> list[Snapshot]:
    """Return the latest word of every kind, but for what is damaged."""
    return [
        Snapshot(
            kind=kind.decode(),
            body=body.decode(),
            boot_session=boot_session.decode(),
            monotonic_s=monotonic_s,
            version=version,
        )
        for kind, body, boot_session, monotonic_s, version, crc in db.execute(
            "SELECT kind, body, kernel, monotonic_s, version, crc FROM snapshot ORDER BY kind"
        )
        if checksum(kind, body, boot_session, monotonic_s, version) == crc
    ]

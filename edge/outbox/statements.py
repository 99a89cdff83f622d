"""The statements on an open outbox file; each takes the connection and raises SQLite's errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.outbox.losses import Loss, add_losses, ranges
from edge.outbox.records import (
    COLUMNS,
    Record,
    StoredEvent,
    checksum,
    damage,
    insert_all,
    is_whole,
    number_of,
    read_counter,
    read_record,
)
from emoshift.clock import date_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edge.outbox.settings import Limits
    from emoshift.clock import ClockReading

_AT_A_TIME: Final = 50
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
        f"SELECT {COLUMNS} FROM queue WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",  # noqa: S608
        (after or _LOWEST, _HIGHEST if before is None else before - 1, limit),
    ).fetchall()


def newest_id(db: sqlite3.Connection) -> int:
    """Return the largest id in the queue; 0 when it is empty."""
    return int(db.execute("SELECT coalesce(max(id), 0) FROM queue").fetchone()[0])


def count(db: sqlite3.Connection, table: str) -> int:
    """Return how many rows a table has."""
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def next_id(db: sqlite3.Connection) -> int:
    """Return an id larger than any that was used."""
    largest = [read_counter(db, "id")]
    for table in ("queue", "sent", "dead"):
        row = db.execute(f"SELECT {COLUMNS} FROM {table} ORDER BY id DESC LIMIT 1").fetchone()  # noqa: S608
        if row is not None and is_whole(row):  # a damaged id may be enormous
            largest.append(row[0])
    return max(largest) + 1


def numbers(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return boot id and number of everything in the queue."""
    found = db.execute(f"SELECT {COLUMNS} FROM queue")  # noqa: S608
    return [number for record in found if (number := number_of(record)) is not None]


def delete(db: sqlite3.Connection, ids: Iterable[int], table: str = "queue") -> list[int]:
    """Delete rows by their ids; returns those that were there."""
    statement = f"DELETE FROM {table} WHERE id = ?"  # noqa: S608 - our own names
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
            f"INSERT OR IGNORE INTO sent SELECT {COLUMNS} FROM queue WHERE id = ?",  # noqa: S608
            (number,),
        )
        if db.execute("DELETE FROM queue WHERE id = ?", (number,)).rowcount:
            continue
        if number in elsewhere:
            continue
        if db.execute("SELECT 1 FROM queue WHERE +id = ?", (number,)).fetchone():
            raise damage(f"row {number} cannot be deleted")


def set_aside(db: sqlite3.Connection, number: int, *, reason: str, utc_s: float) -> None:
    """Move a row from the queue to those that cannot be sent."""
    db.execute(
        f"INSERT OR REPLACE INTO dead SELECT {COLUMNS}, ?, ? FROM queue WHERE id = ?",  # noqa: S608
        (reason, utc_s, number),
    )
    db.execute("DELETE FROM queue WHERE id = ?", (number,))


def quarantine(db: sqlite3.Connection, records: Sequence[Record], *, utc_s: float) -> None:
    """Move damaged rows from the queue to those that cannot be sent, as they are.

    Raises:
        sqlite3.DatabaseError: One of them cannot be taken out: the file itself is damaged.
    """
    for record in records:
        whole = [0 if value is None else value for value in record]
        db.execute(
            "INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'damaged', ?)",
            (*whole, utc_s),
        )
        if not db.execute("DELETE FROM queue WHERE id = ?", (record[0],)).rowcount:
            raise damage(f"row {record[0]} cannot be deleted")


def refused(db: sqlite3.Connection) -> list[Loss]:
    """Return the numbers that were set aside because the broker refused them."""
    by_boot: dict[str, list[int]] = {}
    for record in db.execute(f"SELECT {COLUMNS} FROM dead WHERE reason != 'damaged'"):  # noqa: S608
        if (number := number_of(record)) is not None:
            by_boot.setdefault(number[0], []).append(number[1])
    return [
        Loss(boot_id=boot, first=first, last=last, reason="refused")
        for boot, found in by_boot.items()
        for first, last in ranges(sorted(found))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An event that cannot be sent.

    Attributes:
        number: Of the row.
        reason: ``damaged``, or what the broker said.
        date: When it was set aside.
        row: The event; ``None`` where it cannot be read.
    """

    number: int
    reason: str
    date: str
    row: StoredEvent | None


def dead(db: sqlite3.Connection) -> Iterator[SetAside]:
    """Yield what was set aside, oldest first."""
    for *record, reason, since_s in db.execute(
        f"SELECT {COLUMNS}, reason, since_s FROM dead ORDER BY id"  # noqa: S608
    ):
        date = date_of(since_s if isinstance(since_s, float) else 0.0)
        yield SetAside(
            number=record[0],
            reason=reason.decode(errors="replace"),
            date=f"{date:%Y-%m-%d %H:%M:%S}",
            row=read_record(tuple(record)),
        )


def retry(db: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Move rows that were set aside back into the queue, unless they are damaged."""
    done = 0
    for number in ids:
        record = db.execute(f"SELECT {COLUMNS} FROM dead WHERE id = ?", (number,)).fetchone()  # noqa: S608
        if record is not None and read_record(record) is not None:
            insert_all(db, "queue", [record])
            db.execute("DELETE FROM dead WHERE id = ?", (number,))
            done += 1
    return done


def remove_dead(db: sqlite3.Connection, ids: Sequence[int], *, utc_s: float) -> int:
    """Delete rows that were set aside; those the broker had refused become losses."""
    done = 0
    for number in ids:
        record = db.execute(
            f"SELECT {COLUMNS}, reason FROM dead WHERE id = ?",  # noqa: S608
            (number,),
        ).fetchone()
        if record is None:
            continue
        done += 1
        db.execute("DELETE FROM dead WHERE id = ?", (number,))
        place = number_of(record)
        if place is not None and record[-1] != b"damaged":
            boot, seq = place
            loss = Loss(boot_id=boot, first=seq, last=seq, reason="removed")
            add_losses(db, [loss], utc_s=utc_s)
    return done


def drop_old(
    db: sqlite3.Connection, limits: Limits, *, boot_session: str, now: ClockReading, sent: bool
) -> list[tuple[str, int]]:
    """Delete events past their age; returns the numbers of those that had never been sent.

    Args:
        db: The outbox file.
        limits: Say the ages.
        boot_session: This run of the kernel.
        now: The clocks.
        sent: Whether to delete events that were sent, too; one process alone does.

    Within one run of the kernel the monotonic clock tells the age. Across runs only dates do,
    and only if the clock was set both times: a Pi without a battery starts in the past.
    """
    lost = [
        number
        for record in _past(db, "queue", limits.max_age_s, boot_session=boot_session, now=now)
        if (number := number_of(record)) is not None
    ]
    if sent:
        list(_past(db, "sent", limits.keep_sent_s, boot_session=boot_session, now=now))
    for table in ("dead", "loss"):
        column = "since_s" if table == "dead" else "utc_s"
        if now.synced:
            db.execute(
                f"DELETE FROM {table} WHERE {column} < ? AND {column} > 1e9",  # noqa: S608
                (now.utc_s - limits.max_age_s,),
            )
    return lost


def _past(
    db: sqlite3.Connection, table: str, age_s: float, *, boot_session: str, now: ClockReading
) -> Iterator[Record]:
    """Delete the rows of a table that are older than ``age_s``, and yield them."""
    while True:
        oldest = db.execute(
            f"SELECT id, kernel, monotonic_s, utc_s, synced FROM {table} ORDER BY id LIMIT ?",  # noqa: S608
            (_AT_A_TIME,),
        ).fetchall()
        old = []
        for number, *stored in oldest:
            if _is_past(stored, age_s, boot_session=boot_session, now=now):
                record = db.execute(
                    f"SELECT {COLUMNS} FROM {table} WHERE id = ?",  # noqa: S608
                    (number,),
                ).fetchone()
                if record is not None and is_whole(record):  # else sending it will tell
                    old.append(record)
        delete(db, [record[0] for record in old], table)
        yield from old
        if len(old) < _AT_A_TIME:
            return


def _is_past(
    stored: Sequence[object], age_s: float, *, boot_session: str, now: ClockReading
) -> bool:
    """Whether a row is old by its boot session, its two clocks, and whether they were set."""
    then_session, monotonic_s, utc_s, synced = stored
    if not isinstance(monotonic_s, float) or not isinstance(utc_s, float):
        return False
    if then_session == boot_session.encode():
        return now.monotonic_s - monotonic_s > age_s
    return bool(synced) and now.synced and now.utc_s - utc_s > age_s


def drop_excess(db: sqlite3.Connection, max_bytes: int) -> list[tuple[str, int]]:
    """Delete a twentieth of the events, oldest first, until the size is within the limit.

    Those that were sent go first. Returns the numbers of the others.
    """
    lost: list[tuple[str, int]] = []
    while _used_bytes(db) > max_bytes:
        table = "sent" if count(db, "sent") else "queue"
        depth = count(db, table)
        if depth == 0:
            break
        oldest = db.execute(
            f"SELECT {COLUMNS} FROM {table} ORDER BY id LIMIT ?",  # noqa: S608
            (depth // 20 + 1,),
        ).fetchall()
        delete(db, [record[0] for record in oldest], table)
        if table == "queue":
            lost += [number for record in oldest if (number := number_of(record)) is not None]
    return lost


def _used_bytes(db: sqlite3.Connection) -> int:
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def sent(
    db: sqlite3.Connection, boot_id: str, first: int, last: int, *, limit: int
) -> list[Record]:
    """Return rows that were acknowledged, by their numbers."""
    return db.execute(
        f"SELECT {COLUMNS} FROM sent WHERE boot = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",  # noqa: S608
        (boot_id, first, last, limit),
    ).fetchall()


def lowest_kept(db: sqlite3.Connection) -> dict[str, int]:
    """Return by boot id the lowest number that can be had again or still waits."""
    return _lowest(db, ("queue", "sent"))


def lowest_waiting(db: sqlite3.Connection) -> dict[str, int]:
    """Return by boot id the lowest number that waits."""
    return _lowest(db, ("queue",))


def _lowest(db: sqlite3.Connection, tables: Sequence[str]) -> dict[str, int]:
    lowest: dict[str, int] = {}
    for table in tables:
        for boot, seq in db.execute(f"SELECT boot, min(seq) FROM {table} GROUP BY boot"):  # noqa: S608
            if isinstance(boot, bytes) and isinstance(seq, int):
                name = boot.decode("ascii", "replace")
                lowest[name] = min(lowest.get(name, seq), seq)
    return lowest


def in_order(db: sqlite3.Connection, runs: Mapping[str, int]) -> list[tuple[str, int]]:
    """Sort boot ids by the place of their events, those without any last."""
    place: dict[str, int] = {}
    for table in ("sent", "queue"):
        for boot, number in db.execute(f"SELECT boot, max(id) FROM {table} GROUP BY boot"):  # noqa: S608
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

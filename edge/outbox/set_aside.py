"""Events that cannot be sent: set aside, listed, tried again, or removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.outbox.losses import Loss, add_losses, group_losses
from edge.outbox.records import (
    COLUMNS,
    Record,
    StoredEvent,
    damage,
    insert_all,
    number_of,
    read_record,
)
from emoshift.clock import date_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence


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


def add(db: sqlite3.Connection, number: int, *, reason: str, utc_s: float) -> None:
    """Move a row from the queue to those that cannot be sent."""
    db.execute(
        f"INSERT OR REPLACE INTO dead SELECT {COLUMNS}, ?, ? FROM queue WHERE id = ?",
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
    rows = db.execute(f"SELECT {COLUMNS} FROM dead WHERE reason != 'damaged'")
    numbers = [number for record in rows if (number := number_of(record)) is not None]
    return list(group_losses(numbers, "refused"))


def list_all(db: sqlite3.Connection) -> Iterator[SetAside]:
    """Yield what was set aside, oldest first."""
    for *record, reason, since_s in db.execute(
        f"SELECT {COLUMNS}, reason, since_s FROM dead ORDER BY id"
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
        record = db.execute(f"SELECT {COLUMNS} FROM dead WHERE id = ?", (number,)).fetchone()
        if record is not None and read_record(record) is not None:
            insert_all(db, "queue", [record])
            db.execute("DELETE FROM dead WHERE id = ?", (number,))
            done += 1
    return done


def remove(db: sqlite3.Connection, ids: Sequence[int], *, utc_s: float) -> int:
    """Delete rows that were set aside; those the broker had refused become losses."""
    done = 0
    for number in ids:
        record = db.execute(
            f"SELECT {COLUMNS}, reason FROM dead WHERE id = ?",
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

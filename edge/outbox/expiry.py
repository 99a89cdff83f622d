"""Events that are too old or too many: deleted, with their numbers kept as losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.outbox.losses import add_losses, group_losses
from edge.outbox.records import COLUMNS, Record, is_whole, number_of
from edge.outbox.statements import count, delete

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from edge.outbox.settings import Limits
    from emoshift.clock import ClockReading

_AT_A_TIME: Final = 50


def drop_beyond_limits(
    db: sqlite3.Connection, limits: Limits, *, boot_session: str, now: ClockReading, sent: bool
) -> dict[str, int]:
    """Delete what is older or more than may be kept, and remember the numbers as losses.

    Args:
        db: The outbox file.
        limits: How old and how much.
        boot_session: This run of the kernel.
        now: The clocks.
        sent: Whether to delete old events that were sent, too; one process alone does.

    Returns:
        How many unsent events were deleted, by reason (``old``, ``full``).
    """
    dropped = {
        "old": drop_old(db, limits, boot_session=boot_session, now=now, sent=sent),
        "full": drop_excess(db, limits.max_bytes),
    }
    for reason, numbers in dropped.items():
        add_losses(db, group_losses(numbers, reason), utc_s=now.utc_s)
    return {reason: len(numbers) for reason, numbers in dropped.items() if numbers}


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

    Within one run of the kernel the monotonic clock gives the age. Across runs only dates do,
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
                f"DELETE FROM {table} WHERE {column} < ? AND {column} > 1e9",
                (now.utc_s - limits.max_age_s,),
            )
    return lost


def _past(
    db: sqlite3.Connection, table: str, age_s: float, *, boot_session: str, now: ClockReading
) -> Iterator[Record]:
    """Delete the rows of a table that are older than ``age_s``, and yield them."""
    while True:
        oldest = db.execute(
            f"SELECT id, kernel, monotonic_s, utc_s, synced FROM {table} ORDER BY id LIMIT ?",
            (_AT_A_TIME,),
        ).fetchall()
        old = []
        for number, *stored in oldest:
            if _is_past(stored, age_s, boot_session=boot_session, now=now):
                record = db.execute(
                    f"SELECT {COLUMNS} FROM {table} WHERE id = ?",
                    (number,),
                ).fetchone()
                if record is not None and is_whole(record):  # else sending it will show
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
            f"SELECT {COLUMNS} FROM {table} ORDER BY id LIMIT ?",
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

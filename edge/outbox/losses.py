"""Numbers that no subscriber can get any more: found, kept, and reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.outbox.records import add_to_counter, checksum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

KEPT: Final = 500
"""Ranges of lost numbers that are remembered; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Numbers that were given to events that cannot be sent any more.

    Attributes:
        boot_id: Under which they were given.
        first, last: The first and the last of them.
        reason: ``damaged``, ``full``, ``old``, ``memory`` (no disk took them), ``refused`` (by the
            broker; kept, see `edge outbox`), or ``removed`` (by the operator).
    """

    boot_id: str
    first: int
    last: int
    reason: str

    @property
    def count(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


def ranges(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Join ascending numbers into ranges of neighbours."""
    first = last = None
    for number in numbers:
        if first is not None and last is not None and number <= last + 1:
            last = max(last, number)
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last


def group_losses(numbers: Iterable[tuple[str, int]], reason: str) -> Iterator[Loss]:
    """Join boot ids and numbers in any order into losses, one for each range."""
    by_boot: dict[str, list[int]] = {}
    for boot, seq in numbers:
        by_boot.setdefault(boot, []).append(seq)
    for boot, seqs in by_boot.items():
        for first, last in ranges(sorted(seqs)):
            yield Loss(boot_id=boot, first=first, last=last, reason=reason)


def add_losses(db: sqlite3.Connection, losses: Iterable[Loss], *, utc_s: float) -> int:
    """Remember losses and count them; returns how many numbers they are."""
    total = 0
    for loss in losses:
        total += loss.count
        _add(db, loss, utc_s)
    if total:
        add_to_counter(db, "dropped", total)
        db.execute(
            "DELETE FROM loss WHERE id <= (SELECT max(id) FROM loss) - ?",
            (KEPT,),
        )
    return total


def _add(db: sqlite3.Connection, loss: Loss, utc_s: float) -> None:
    """Add one, joined to the latest one where they are neighbours."""
    first = loss.first
    latest = db.execute("SELECT * FROM loss ORDER BY id DESC LIMIT 1").fetchone()
    if latest is not None and checksum(*latest[:-1]) == latest[-1]:
        same = (latest[1], latest[4]) == (loss.boot_id.encode(), loss.reason.encode())
        if same and latest[3] + 1 == first:
            first = latest[2]
            db.execute("DELETE FROM loss WHERE id = ?", (latest[0],))
    number = int(db.execute("SELECT coalesce(max(id), 0) + 1 FROM loss").fetchone()[0])
    values = (number, loss.boot_id, first, loss.last, loss.reason, utc_s)
    db.execute("INSERT INTO loss VALUES (?, ?, ?, ?, ?, ?, ?)", (*values, checksum(*values)))


def read_losses(db: sqlite3.Connection) -> list[Loss]:
    """Return the losses remembered, oldest first."""
    return [
        Loss(boot_id=boot.decode(), first=first, last=last, reason=reason.decode())
        for number, boot, first, last, reason, utc_s, crc in db.execute(
            "SELECT * FROM loss ORDER BY id"
        )
        if checksum(number, boot, first, last, reason, utc_s) == crc
    ]


def read_runs(db: sqlite3.Connection) -> dict[str, int]:
    """Return the last number given under each boot id, as the file knows it."""
    return {
        boot.decode(): last
        for boot, last, crc in db.execute("SELECT boot, last, crc FROM run")
        if checksum(boot, last) == crc
    }


def write_run(db: sqlite3.Connection, boot_id: str, last: int) -> None:
    """Say which number was given last."""
    db.execute(
        "INSERT OR REPLACE INTO run VALUES (?, ?, ?)", (boot_id, last, checksum(boot_id, last))
    )


def lowest_numbers(db: sqlite3.Connection, *tables: str) -> dict[str, int]:
    """Return by boot id the lowest number that stands in some tables."""
    lowest: dict[str, int] = {}
    for table in tables:
        for boot, seq in db.execute(f"SELECT boot, min(seq) FROM {table} GROUP BY boot"):
            if isinstance(boot, bytes) and isinstance(seq, int) and seq > 0:
                name = boot.decode("ascii", "replace")
                lowest[name] = min(lowest.get(name, seq), seq)
    return lowest


def first_numbers(db: sqlite3.Connection) -> dict[str, int]:
    """Return by boot id the lowest number that is still there, sent or not."""
    return lowest_numbers(db, "queue", "sent", "dead")


def find_losses(
    db: sqlite3.Connection,
    given: Mapping[str, tuple[int, int]],
    *,
    runs: Mapping[str, int] | None,
    elsewhere: Iterable[tuple[str, int]] = (),
) -> list[Loss]:
    """Compare the numbers that were given with those that are there.

    Args:
        db: The outbox file.
        given: By boot id the lowest number that may still be there and the last one given.
        runs: The last number that the file knows of by boot id, where only what is behind it can
            be missing (a torn log); ``None`` where anything may be.
        elsewhere: Events that are kept outside the file.
    """
    suspects = {
        boot: (first if runs is None or boot not in runs else max(first, runs[boot] + 1), last)
        for boot, (first, last) in given.items()
    }
    suspects = {boot: limits for boot, limits in suspects.items() if limits[0] <= limits[1]}
    if not suspects:
        return []
    present: dict[str, set[int]] = {boot: set() for boot in suspects}
    for boot, seq in elsewhere:
        if boot in present:
            present[boot].add(seq)
    for loss in read_losses(db):
        if loss.boot_id in present:
            present[loss.boot_id].update(range(loss.first, loss.last + 1))
    for table, which in (("queue", ""), ("sent", ""), ("dead", " WHERE reason != 'damaged'")):
        for boot, seq in db.execute(f"SELECT boot, seq FROM {table}{which}"):
            name = boot.decode("ascii", "replace") if isinstance(boot, bytes) else ""
            if name in present and isinstance(seq, int):
                present[name].add(seq)
    return [
        Loss(boot_id=boot, first=start, last=end, reason="damaged")
        for boot, (first, last) in suspects.items()
        for start, end in ranges(n for n in range(first, last + 1) if n not in present[boot])
    ]

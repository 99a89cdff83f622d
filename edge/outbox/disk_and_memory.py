"""The two files of an outbox: the one on the disk, and one in memory for when the disk refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.outbox import statements
from edge.outbox.losses import read_runs
from edge.outbox.records import insert_all

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from edge.outbox.event_file import EventFile
    from edge.outbox.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersInMemory:
    """Which numbers the file in memory knows.

    Attributes:
        last: The last number given, by boot id.
        waiting: Boot id and number of the events that wait there.
    """

    last: dict[str, int]
    waiting: list[tuple[str, int]]


class DiskAndMemory:
    """Both files of an outbox, read as one.

    Args:
        disk: The file that survives a restart.
        memory: The file in memory (tmpfs), where there may be one.
    """

    def __init__(self, disk: EventFile, memory: EventFile | None) -> None:
        self._disk = disk
        self._memory = memory

    @property
    def has_memory(self) -> bool:
        """Whether events can go through memory at all."""
        return self._memory is not None

    @property
    def generation(self) -> int:
        """Grows whenever one of them is opened."""
        return self._disk.generation + (0 if self._memory is None else self._memory.generation)

    def read(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Read from the file on the disk, then from the one in memory, as far as they are there."""
        self._disk.attempt(work, transaction=False)
        self.in_memory(work)

    def in_memory(
        self, work: Callable[[sqlite3.Connection], object], *, transaction: bool = False
    ) -> bool:
        """Do some work on the file in memory, if it exists; whether it was done."""
        if self._memory is None or not self._memory.path.exists():
            return False
        return self._memory.attempt(work, transaction=transaction) is None

    def write_in_memory(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        """Write to the file in memory, which is made if need be; whether that was possible."""
        return self._memory is not None and self._memory.attempt(work) is None

    def numbers_in_memory(self) -> NumbersInMemory:
        """Return the numbers that the file in memory knows."""
        numbers = NumbersInMemory(last={}, waiting=[])

        def read(db: sqlite3.Connection) -> None:
            numbers.last.update(read_runs(db))
            numbers.waiting.extend(statements.numbers(db))

        self.in_memory(read)
        return numbers

    def move_to_disk(self) -> None:
        """Bring what went through memory to a disk that takes it again."""
        records: list[Record] = []

        def read(db: sqlite3.Connection) -> None:
            records[:] = statements.waiting(db, after=0, before=None, limit=1000)

        if not self.in_memory(read) or not records:
            return
        ids = [record[0] for record in records]
        if self._disk.attempt(lambda db: insert_all(db, "queue", records)) is None:
            self.in_memory(lambda db: statements.delete(db, ids), transaction=True)

    def close(self) -> None:
        """Close both."""
        self._disk.close()
        if self._memory is not None:
            self._memory.close()

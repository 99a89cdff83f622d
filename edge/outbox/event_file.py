"""One outbox file as a process uses it: opened when needed, opened anew when it is damaged."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from edge.outbox.sqlite_file import Database, is_damage, set_durable
from emoshift.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emoshift.clock import ClockReading


class EventFile:
    """Runs pieces of work on a file, each as one transaction.

    Args:
        path: The file.
        durable: Whether commits wait for the disk, unless a piece of work says otherwise.
        clock: Reads the clocks.
        on_open: Called whenever the file has been opened, with the damaged predecessor that was
            set aside, if any.

    Attributes:
        generation: Grows whenever the file is opened; ids of before may mean other events then.
    """

    def __init__(
        self,
        path: Path,
        *,
        durable: bool,
        clock: Callable[[], ClockReading],
        on_open: Callable[[sqlite3.Connection, Path | None], None],
    ) -> None:
        self.path = path
        self.generation = 0
        self._durable = durable
        self._clock = clock
        self._on_open = on_open
        self._database: Database | None = None
        self._set_aside: Path | None = None

    def open(self, *, distrusted: bool = False) -> Database:
        """Open the file if it is not open.

        Raises:
            OutboxError: It cannot be opened.
            sqlite3.Error: The disk is full, or what was carried over does not fit.
        """
        if self._database is None:
            database = Database(
                self.path, durable=self._durable, clock=self._clock(), distrusted=distrusted
            )
            self.generation += 1
            # Kept for the next time where the disk refuses what is carried over.
            self._set_aside = database.set_aside or self._set_aside
            try:
                self._on_open(database.connection, self._set_aside)
            except BaseException:
                database.close()
                raise
            self._set_aside = None
            database.settle()
            self._database = database
        return self._database

    def attempt(
        self,
        work: Callable[[sqlite3.Connection], object],
        *,
        durable: bool = True,
        transaction: bool = True,
    ) -> Exception | None:
        """Do some work; on a damaged file, again on one made of what can be read of it.

        Args:
            work: Gets the connection; may run more than once.
            durable: Whether this commit waits for the disk, where the file is durable.
            transaction: Whether to commit it as one; reading needs none.

        Returns:
            Why it could not be done; ``None`` when it was.
        """
        why: Exception | None = None
        for distrusted in (False, False, True):
            try:
                if self._database is not None and self._database.must_release():
                    self.close()
                database = self.open(distrusted=distrusted)
                self._run(database.connection, work, durable=durable, transaction=transaction)
            except (sqlite3.Error, OverflowError) as found:
                why = found
                if not is_damage(found):
                    return why
                self.close()
            except (OutboxError, OSError) as found:
                return found
            else:
                return None
        return why

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _run(
        self,
        db: sqlite3.Connection,
        work: Callable[[sqlite3.Connection], object],
        *,
        durable: bool,
        transaction: bool,
    ) -> None:
        if not transaction:
            work(db)
            return
        set_durable(db, durable=durable and self._durable)
        db.execute("BEGIN IMMEDIATE")
        try:
            work(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

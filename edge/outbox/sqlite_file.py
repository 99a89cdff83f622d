"""One SQLite file shared by two processes: opened, checked, and set aside when it is damaged.

A damaged file may only be renamed while nobody has it open: SQLite removes the write-ahead log
by name, so a process still holding the old file would remove the log of the new one. Two locks
see to that. Whoever has the file open shares ``<file>.lock``; whoever repairs holds
``<file>.repair`` first, which asks the others to let go, then ``<file>.lock`` alone. The kernel
releases both when a process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emoshift.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emoshift.clock import ClockReading

PATIENCE_S: Final = 10.0
"""How long to wait for the other process to let go of a damaged file."""

KEPT_ASIDE: Final = 2
"""How many damaged files are kept for inspection; older ones are removed."""

_CHECKPOINT_PAGES: Final = 256  # keeps the log near one megabyte
_CACHE_KB: Final = 256  # rows are written and read once; the usual 2 MB would fill and stay
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SHORT_READ: Final = 522  # SQLITE_IOERR_SHORT_READ: the file ends inside a page


def is_damage(why: sqlite3.Error) -> bool:
    """Whether an error means that the file itself is broken, not the disk or the moment."""
    code = getattr(why, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE or code == _SHORT_READ


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The tables of a file.

    Attributes:
        version: Kept in ``user_version``; a file of a newer one is refused.
        tables: The statements that make them.
    """

    version: int
    tables: tuple[str, ...]


class Database:
    """An open file, with its share of the lock.

    Attributes:
        connection: In autocommit mode.
        set_aside: Where a damaged predecessor lies, if this opening found one.
    """

    def __init__(self, path: Path, layout: Layout, *, durable: bool, clock: ClockReading) -> None:
        """Open or create ``path``; a damaged file is set aside first.

        Args:
            path: The file; its folder is made where it is missing.
            layout: The tables it has.
            durable: Wait at every commit until the disk has it, and check the file now.
            clock: Dates the name of a damaged file.

        Raises:
            OutboxError: It cannot be opened, is of a newer layout, or is held by a process that
                does not let go.
        """
        self.path = path
        self.set_aside: Path | None = None
        self._layout = layout
        self._durable = durable
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._using = _lock_file(f"{path}.lock")
            self._repair = _lock_file(f"{path}.repair")
        except OSError as why:
            raise OutboxError(
                f"{path}: cannot be opened: {why.strerror}; check outbox.path and its folder"
            ) from why
        try:
            self.connection = self._open(clock)
            self._inode = path.stat().st_ino
        except sqlite3.Error as why:
            self._close_locks()
            raise OutboxError(f"{path}: cannot be opened: {why}; check the disk") from why
        except BaseException:
            self._close_locks()
            raise

    def must_let_go(self) -> bool:
        """Whether the other process repairs the file, or somebody has replaced it."""
        try:
            fcntl.flock(self._repair, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._repair, fcntl.LOCK_UN)
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True

    def close(self) -> None:
        """Close the file and give up the share of the lock."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        self._close_locks()

    def _close_locks(self) -> None:
        os.close(self._using)
        os.close(self._repair)

    def _open(self, clock: ClockReading) -> sqlite3.Connection:
        with self._holding(self._repair, fcntl.LOCK_SH):  # nobody repairs
            self._take(self._using, fcntl.LOCK_SH)
        try:
            return self._connect()
        except sqlite3.DatabaseError as why:
            if not is_damage(why):
                raise
        fcntl.flock(self._using, fcntl.LOCK_UN)
        with self._holding(self._repair, fcntl.LOCK_EX):
            self._take(self._using, fcntl.LOCK_EX)
            connection = self._mend(clock)
            fcntl.flock(self._using, fcntl.LOCK_SH)
            return connection

    def _mend(self, clock: ClockReading) -> sqlite3.Connection:
        """Alone with the file: look again, set it aside if it is still damaged, start anew."""
        try:
            return self._connect()
        except sqlite3.DatabaseError as why:
            if not is_damage(why):
                raise
        self.set_aside = _set_aside(self.path, clock)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        """Connect; both processes making the file at the same moment is no error.

        SQLite does not wait for others where the kind of the log changes, so we do.
        """
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._connect_once()
            except sqlite3.OperationalError as why:
                busy = why.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
                if not busy or time.monotonic() >= until:
                    raise
            time.sleep(0.05)

    def _connect_once(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={_CHECKPOINT_PAGES * 4096}")
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
            set_durable(connection, durable=self._durable)
            self._lay_out(connection)
            if self._durable:
                _check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lay_out(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            self._refuse_newer(version)
            for statement in self._layout.tables:
                connection.execute(statement)
            if version < self._layout.version:
                connection.execute(f"PRAGMA user_version={self._layout.version}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _refuse_newer(self, version: int) -> None:
        if version > self._layout.version:
            raise OutboxError(
                f"{self.path}: found layout {version}, expected {self._layout.version}: a newer "
                "release wrote it; install that release or move the file away"
            )

    @contextlib.contextmanager
    def _holding(self, lock: int, mode: int) -> Iterator[None]:
        self._take(lock, mode)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    def _take(self, lock: int, mode: int) -> None:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                fcntl.flock(lock, mode | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise OutboxError(
                        f"{self.path}: another process holds it and does not let go within "
                        f"{PATIENCE_S:.0f} s; is the same device running twice?"
                    ) from None
                time.sleep(0.02)


def _lock_file(name: str) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)


def set_durable(connection: sqlite3.Connection, *, durable: bool) -> None:
    """Choose what a commit waits for.

    FULL syncs the log at each commit: what was committed survives a power cut, for one write of
    some kilobytes. NORMAL leaves that to the next sync: a power cut may undo the last commits but
    never damages the file. Either survives the death of the process.
    """
    connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")


def _check(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        why = sqlite3.DatabaseError(found)
        why.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise why


def _set_aside(path: Path, clock: ClockReading) -> Path:
    """Rename a damaged file with its log, and remove the oldest of those kept so far."""
    stamp = f"{clock.date(clock.monotonic_s):%Y%m%dT%H%M%S%f}"
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("-shm", "-wal", ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
    kept = [
        p
        for p in path.parent.glob(f"{path.name}.damaged-*")
        if p != aside and not p.name.endswith(("-wal", "-shm"))
    ]
    kept.sort(key=lambda p: p.stat().st_ctime_ns)  # renamed last
    for old in kept[: 1 - KEPT_ASIDE]:
        for suffix in ("-shm", "-wal", ""):
            Path(f"{old}{suffix}").unlink(missing_ok=True)
    return aside

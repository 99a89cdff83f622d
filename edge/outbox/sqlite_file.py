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
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.outbox.records import damage
from edge.outbox.tables import NewerFileError, create_tables
from emoshift.errors import OutboxError
from emoshift.private_files import PRIVATE, make_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emoshift.clock import ClockReading

PATIENCE_S: Final = 10.0
"""How long to wait for the other process to let go of a damaged file."""

KEPT_ASIDE: Final = 2
"""How many damaged files are kept for inspection; older ones are removed."""

_CHECKPOINT_PAGES: Final = 256  # keeps the log near one megabyte
_CACHE_KB: Final = 256  # rows are written and read once; the usual 2 MB would fill and stay
_SHORT_READ: Final = 522  # SQLITE_IOERR_SHORT_READ: the file ends inside a page
_PASSING: Final = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_AUTH,
)
"""What the disk or the moment is to blame for. Our statements are always the same, so that every
other error, a broken constraint or an unknown column too, means that the file is damaged."""


def is_damage(why: Exception) -> bool:
    """Whether an error means that the file itself is broken, not the disk or the moment."""
    code = getattr(why, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code == _SHORT_READ or code & 0xFF not in _PASSING


def is_full(why: Exception) -> bool:
    """Whether an error means that the disk has no space left."""
    return getattr(why, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


class Database:
    """An open file, with its share of the lock.

    Attributes:
        connection: In autocommit mode.
        set_aside: Where a damaged predecessor lies, if this opening found one.
    """

    def __init__(
        self, path: Path, *, durable: bool, clock: ClockReading, distrusted: bool = False
    ) -> None:
        """Open or create ``path``; a damaged file is set aside first.

        The other process stays out after that until `settle` or `close`.

        Args:
            path: The file; its folder is made where it is missing.
            durable: Wait at every commit until the disk has it.
            clock: Dates the name of a damaged file.
            distrusted: Set the file aside, however sound it looks.

        Raises:
            OutboxError: It cannot be opened, is of a newer release, or is held by a process that
                does not let go.
            sqlite3.OperationalError: The disk is full.
        """
        self.path = path
        self.set_aside: Path | None = None
        self._durable = durable
        self._distrusted = distrusted
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open_lock = _lock_file(f"{path}.lock")
            try:
                self._repair_lock = _lock_file(f"{path}.repair")
            except BaseException:
                os.close(self._open_lock)
                raise
        except OSError as why:
            raise OutboxError(
                f"{path}: cannot be opened: {why.strerror}; check outbox.path and its folder"
            ) from why
        try:
            self.connection = self._open(clock)
            self._inode = path.stat().st_ino
        except sqlite3.Error as why:
            self._close_locks()
            if is_full(why):
                raise
            raise OutboxError(f"{path}: cannot be opened: {why}; check the disk") from why
        except BaseException:
            self._close_locks()
            raise

    def settle(self) -> None:
        """Let the other process in: what a damaged predecessor held has been carried over."""
        fcntl.flock(self._repair_lock, fcntl.LOCK_UN)

    def must_release(self) -> bool:
        """Whether the other process repairs the file, or somebody has replaced it."""
        try:
            fcntl.flock(self._repair_lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._repair_lock, fcntl.LOCK_UN)
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
        os.close(self._open_lock)
        os.close(self._repair_lock)

    def _open(self, clock: ClockReading) -> sqlite3.Connection:
        with self._holding(self._repair_lock, fcntl.LOCK_SH):  # nobody repairs
            self._take(self._open_lock, fcntl.LOCK_SH)
        if not self._distrusted:
            try:
                return self._connect()
            except sqlite3.DatabaseError as why:
                if not is_damage(why):
                    raise
        fcntl.flock(self._open_lock, fcntl.LOCK_UN)
        # Until `settle`: whoever found the new file still empty would report all events as lost.
        self._take(self._repair_lock, fcntl.LOCK_EX)
        self._take(self._open_lock, fcntl.LOCK_EX)
        connection = self._repair_alone(clock)
        fcntl.flock(self._open_lock, fcntl.LOCK_SH)
        return connection

    def _repair_alone(self, clock: ClockReading) -> sqlite3.Connection:
        """Alone with the file: look again, set it aside if it is still damaged, start anew."""
        if not self._distrusted:
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
                code = getattr(why, "sqlite_errorcode", 0) & 0xFF
                busy = code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
                if not busy or time.monotonic() >= until:
                    raise
            time.sleep(0.05)

    def _connect_once(self) -> sqlite3.Connection:
        make_private(self.path)
        connection = sqlite3.connect(
            self.path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        try:
            connection.text_factory = bytes  # damaged text must not keep a row from being read
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={_CHECKPOINT_PAGES * 4096}")
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
            # Somebody else can write the file: what it holds is data, and nothing in it is run.
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute("PRAGMA temp_store=MEMORY")
            set_durable(connection, durable=self._durable)
            create_tables(connection)
            _check(connection)
        except NewerFileError as why:
            connection.close()
            raise OutboxError(
                f"{self.path}: found layout {why}: a newer release wrote it; install that release"
                " or move the file away"
            ) from why
        except BaseException:
            connection.close()
            raise
        return connection

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
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)


def set_durable(connection: sqlite3.Connection, *, durable: bool) -> None:
    """Choose what a commit waits for.

    FULL syncs the log at each commit: what was committed survives a power cut, for one write of
    some kilobytes. NORMAL leaves that to the next sync: a power cut may undo the last commits but
    never damages the file. Either survives the death of the process.
    """
    connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")


def _check(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != b"ok":
        raise damage(found.decode(errors="replace"))


def _set_aside(path: Path, clock: ClockReading) -> Path:
    """Rename a damaged file with its log, and remove the oldest of those kept so far."""
    stamp = f"{clock.date(clock.monotonic_s):%Y%m%dT%H%M%S%f}"
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("-shm", "-wal", ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
    # One that cannot be removed, or that the other process has just removed, is no reason to lose
    # what can be read of this one.
    with contextlib.suppress(OSError):
        kept = [p for p in files_set_aside(path) if p != aside]
        kept.sort(key=lambda p: p.stat().st_ctime_ns)  # renamed last
        for old in kept[: 1 - KEPT_ASIDE]:
            remove_set_aside(old)
    return aside


def files_set_aside(path: Path) -> list[Path]:
    """Return the damaged predecessors of a file that are kept for inspection."""
    return [
        p
        for p in path.parent.glob(f"{path.name}.damaged-*")
        if not p.name.endswith(("-wal", "-shm"))
    ]


def remove_set_aside(file: Path) -> None:
    """Remove one of them with its log."""
    for suffix in ("-shm", "-wal", ""):
        Path(f"{file}{suffix}").unlink(missing_ok=True)

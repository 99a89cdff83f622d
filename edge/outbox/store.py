"""The durable seam between deciding and publishing: one SQLite file, written before it is told.

The vision process puts changes in and gets them back numbered; the publisher peeks, publishes,
and acknowledges what the broker has taken. The writer's commits wait for the disk (FULL): events
are rare, a sync of a few kilobytes each is what a power cut costs otherwise. The publisher's
acknowledgements and the snapshots do not (NORMAL): losing them to a power cut means telling an
event twice, which every subscriber drops by its ``event_id``.

The publisher learns of new rows by asking ``changed()`` every 20 ms: SQLite keeps the answer in
shared memory, so it costs microseconds, needs no socket between the two processes, and nothing
that could be lost or go stale.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import uuid
import zlib
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias

from edge.outbox.sqlite_file import Database, Layout, is_damage, set_durable
from emoshift.clock import kernel_boot, read_clock
from emoshift.errors import OutboxError
from emoshift.messages import Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge.outbox.event import TransitionEvent
    from emoshift.clock import ClockReading

log = logging.getLogger(__name__)

SnapshotKind = Literal["info", "class", "health"]

_LAYOUT: Final = Layout(
    version=1,
    tables=(
        # Ids are never used again (AUTOINCREMENT): a cursor stays valid when all rows are gone.
        """CREATE TABLE IF NOT EXISTS event (
            id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, crc INTEGER NOT NULL,
            kernel TEXT NOT NULL, monotonic_s REAL NOT NULL, utc_s REAL NOT NULL,
            synced INTEGER NOT NULL)""",
        """CREATE TABLE IF NOT EXISTS snapshot (
            kind TEXT PRIMARY KEY, body TEXT NOT NULL, kernel TEXT NOT NULL,
            monotonic_s REAL NOT NULL, version INTEGER NOT NULL)""",
        "CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    ),
)


_Record: TypeAlias = tuple[int, str, int, str, float, float, int]
"""A row of ``event``: id, body, crc, kernel, monotonic_s, utc_s, synced."""


class OutboxState(StrEnum):
    """Whether events reach the disk."""

    READY = "ready"
    FULL = "full"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept while no broker takes it.

    Attributes:
        max_bytes: Size of the tables; the log beside them adds about a megabyte.
        max_age_s: Age of an event.
        max_pending: Events held in memory while the disk refuses them.
    """

    max_bytes: int = 64_000_000
    max_age_s: float = 30 * 86400.0
    max_pending: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A stored event.

    Attributes:
        id: Its place in the queue; grows, never used again.
        event: As it was stored.
        kernel: The run of the kernel during which it was stored.
        monotonic_s, utc_s: Both clocks when it was stored, seconds.
        synced: Whether the wall clock was set then.
    """

    id: int
    event: Transition
    kernel: str
    monotonic_s: float
    utc_s: float
    synced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The latest word on something of which only the latest matters.

    Attributes:
        kind: Which message it is.
        body: The message, JSON.
        kernel, monotonic_s: When it was written.
        version: Grows with every writing.
    """

    kind: str
    body: str
    kernel: str
    monotonic_s: float
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxStats:
    """What to report of the outbox.

    Attributes:
        depth: Events on disk that no broker has acknowledged.
        pending: Events in memory that the disk has refused so far.
        dropped: Events given up since the file was made: too many, too old, or unreadable.
        stored: Events written since the file was made, acknowledged or not.
        state: Whether events reach the disk.
    """

    depth: int
    pending: int
    dropped: int
    stored: int
    state: OutboxState


class Outbox:
    """The event store, as one of its two processes sees it. Safe to share between threads."""

    def __init__(
        self, path: Path, limits: Limits, *, writer: bool, clock: Callable[[], ClockReading]
    ) -> None:
        self.path = path
        self._limits = limits
        self._writer = writer
        self._clock = clock
        self._kernel = kernel_boot()
        self._lock = threading.RLock()
        self._pending: deque[TransitionEvent] = deque()
        self._overflowed = 0
        self._boot_id = uuid.uuid4().hex
        self._next_seq = 1
        self._state = OutboxState.READY
        self._generation = 0
        self._data_version = -1
        self._db: Database | None = self._open()

    @classmethod
    def open(
        cls,
        path: Path,
        limits: Limits = Limits(),
        *,
        writer: bool,
        clock: Callable[[], ClockReading] = read_clock,
    ) -> Self:
        """Open or create the outbox.

        A damaged file is set aside, what can be read of it is carried over, and both are logged.

        Args:
            path: The SQLite file.
            limits: How much to keep.
            writer: True in the vision process, which numbers the events.
            clock: Reads the clocks of this device.

        Raises:
            OutboxError: The file cannot be opened at all.
        """
        return cls(path, limits, writer=writer, clock=clock)

    @property
    def boot_id(self) -> str:
        """Under which this writer numbers its events."""
        return self._boot_id

    @property
    def generation(self) -> int:
        """Grows when the file was opened anew; ids of before mean nothing then."""
        return self._generation

    @property
    def state(self) -> OutboxState:
        """Whether events reach the disk."""
        return self._state

    def put(self, changes: Sequence[TransitionEvent] = ()) -> list[Transition]:
        """Store changes in one commit, oldest first, and return what was stored, numbered.

        Where the disk refuses, they wait in memory, as many as the limits allow, and are stored
        by a later call; their numbers are given then. Never raises because of the disk.
        """
        with self._lock:
            self._pending.extend(changes)
            while len(self._pending) > self._limits.max_pending:
                self._pending.popleft()
                self._overflowed += 1
            if not self._pending:
                return []
            batch = list(self._pending)
            first = self._next_seq + self._overflowed  # what memory lost is a gap that shows
            events = [change.numbered(self._boot_id, first + i) for i, change in enumerate(batch)]
            lost = self._overflowed
            if not self._attempt(lambda db: self._insert(db, events, lost), heals=True):
                return []
            self._next_seq = first + len(events)
            self._overflowed = 0
            self._pending.clear()
            return events

    def peek(self, *, after: int = 0, limit: int = 100) -> list[Row]:
        """Return the oldest events whose id is larger than ``after``; they stay in the store."""
        found: list[_Record] = []

        def read(db: sqlite3.Connection) -> None:
            found[:] = db.execute(
                "SELECT id, body, crc, kernel, monotonic_s, utc_s, synced FROM event"
                " WHERE id > ? ORDER BY id LIMIT ?",
                (after, limit),
            )

        with self._lock:
            self._attempt(read, transaction=False, heals=not self._writer)
            rows = [row for record in found if (row := _row(record)) is not None]
            if len(rows) < len(found):
                self._give_up({record[0] for record in found} - {row.id for row in rows})
            return rows

    def _give_up(self, unreadable: set[int]) -> None:
        """Drop records that are not what was written, so that they hold up nothing."""
        log.error("outbox %s: %d unreadable events given up", self.path, len(unreadable))

        def drop(db: sqlite3.Connection) -> None:
            _delete(db, sorted(unreadable))
            _count(db, "dropped", len(unreadable))

        self._attempt(drop)

    def ack(self, ids: Sequence[int]) -> bool:
        """Forget events that the broker has taken; False where the disk refuses, try again."""
        with self._lock:
            return not ids or self._attempt(lambda db: _delete(db, ids), durable=False)

    def changed(self) -> bool:
        """Whether the other process has committed anything since the last call. Cheap."""
        with self._lock:
            before = self._data_version, self._generation

            def read(db: sqlite3.Connection) -> None:
                self._data_version = int(db.execute("PRAGMA data_version").fetchone()[0])

            self._attempt(read, transaction=False)
            return before != (self._data_version, self._generation)

    def put_snapshot(self, kind: SnapshotKind, body: str) -> bool:
        """Replace the latest word of a kind; False where the disk refuses."""
        now = self._clock()
        with self._lock:
            return self._attempt(
                lambda db: db.execute(
                    "INSERT INTO snapshot VALUES (?, ?, ?, ?, 1) ON CONFLICT (kind) DO UPDATE SET"
                    " body=excluded.body, kernel=excluded.kernel,"
                    " monotonic_s=excluded.monotonic_s, version=snapshot.version + 1",
                    (kind, body, self._kernel, now.monotonic_s),
                ),
                durable=False,
            )

    def snapshots(self) -> list[Snapshot]:
        """Return the latest word of every kind that was ever put."""
        found: list[Snapshot] = []

        def read(db: sqlite3.Connection) -> None:
            found[:] = [
                Snapshot(kind=k, body=b, kernel=n, monotonic_s=m, version=v)
                for k, b, n, m, v in db.execute(
                    "SELECT kind, body, kernel, monotonic_s, version FROM snapshot ORDER BY kind"
                )
            ]

        with self._lock:
            self._attempt(read, transaction=False)
            return found

    def next_session(self, *, reserve: int = 1) -> int:
        """Return a number larger than any before, also after the file or the clock was lost.

        Args:
            reserve: How many numbers from it on are taken.
        """
        session = int(self._clock().utc_s)

        def take(db: sqlite3.Connection) -> None:
            nonlocal session
            session = max(_counter(db, "session") + 1, session)
            db.execute(
                "INSERT OR REPLACE INTO counter VALUES ('session', ?)", (session + reserve - 1,)
            )

        with self._lock:
            self._attempt(take, durable=False)
            return session

    def stats(self) -> OutboxStats:
        """Count what waits and what was given up."""
        depth = dropped = stored = 0

        def read(db: sqlite3.Connection) -> None:
            nonlocal depth, dropped, stored
            depth = int(db.execute("SELECT count(*) FROM event").fetchone()[0])
            dropped = _counter(db, "dropped")
            last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
            stored = 0 if last is None else int(last[0])

        with self._lock:
            self._attempt(read, transaction=False)
            return OutboxStats(
                depth=depth,
                pending=len(self._pending),
                dropped=dropped + self._overflowed,
                stored=stored,
                state=self._state,
            )

    def close(self) -> None:
        """Store what waits in memory, if the disk takes it, and close the file."""
        with self._lock:
            if self._writer:
                self.put()
            if self._pending:
                log.error(
                    "outbox %s: %d events lost: the disk refused them",
                    self.path,
                    len(self._pending),
                )
            if self._db is not None:
                self._db.close()
                self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> Database:
        """Open the file and carry over what a damaged predecessor still tells."""
        db = Database(self.path, _LAYOUT, durable=self._writer, clock=self._clock())
        self._generation += 1
        if db.set_aside is not None:
            rescued = list(_readable(db.set_aside))
            try:
                _restore(db.connection, rescued)
            except sqlite3.Error as why:
                db.close()
                raise OutboxError(f"{self.path}: cannot be written: {why}") from why
            log.error(
                "outbox %s was damaged: set aside as %s, %d events carried over",
                self.path,
                db.set_aside.name,
                len(rescued),
            )
        return db

    def _attempt(
        self,
        work: Callable[[sqlite3.Connection], object],
        *,
        durable: bool = True,
        transaction: bool = True,
        heals: bool = False,
    ) -> bool:
        """Do some work on the file; open it anew where it is damaged or was replaced.

        Args:
            work: Gets the connection.
            durable: Whether a writer's commit waits for the disk.
            transaction: Whether to commit it as one; reading needs none.
            heals: Whether its success shows that events are stored again.
        """
        for _ in range(2):
            try:
                if self._db is not None and self._db.must_let_go():
                    self._db.close()
                    self._db = None
                if self._db is None:
                    self._db = self._open()
                self._run(self._db.connection, work, durable=durable, transaction=transaction)
            except sqlite3.Error as why:
                self._note(_state_of(why), str(why))
                if not is_damage(why):
                    return False
                if self._db is not None:
                    self._db.close()
                    self._db = None
            except (OutboxError, OSError) as why:
                self._note(OutboxState.FAILING, str(why))
                return False
            else:
                if heals:
                    self._note(OutboxState.READY, "")
                return True
        return False

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
        set_durable(db, durable=durable and self._writer)
        db.execute("BEGIN IMMEDIATE")
        try:
            work(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _insert(self, db: sqlite3.Connection, events: Sequence[Transition], lost: int) -> None:
        now = self._clock()
        bodies = [event.to_json() for event in events]
        db.executemany(
            "INSERT INTO event (body, crc, kernel, monotonic_s, utc_s, synced)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    body,
                    zlib.crc32(body.encode()),
                    self._kernel,
                    now.monotonic_s,
                    now.utc_s,
                    now.synced,
                )
                for body in bodies
            ],
        )
        dropped = self._drop_old(db, now) + self._drop_excess(db)
        if dropped:
            log.warning("outbox %s: %d oldest events dropped (limit reached)", self.path, dropped)
        if dropped or lost:
            _count(db, "dropped", dropped + lost)

    def _drop_old(self, db: sqlite3.Connection, now: ClockReading) -> int:
        """Drop events past their age.

        Within one run of the kernel the monotonic clock tells the age. Across runs only dates do,
        and only if the clock was set both times: a Pi without a battery starts in the past.
        """
        oldest = db.execute(
            "SELECT id, kernel, monotonic_s, utc_s, synced FROM event ORDER BY id LIMIT 200"
        ).fetchall()
        old = [
            int(row)
            for row, kernel, monotonic_s, utc_s, synced in oldest
            if (
                now.monotonic_s - monotonic_s > self._limits.max_age_s
                if kernel == self._kernel
                else synced and now.synced and now.utc_s - utc_s > self._limits.max_age_s
            )
        ]
        _delete(db, old)
        return len(old)

    def _drop_excess(self, db: sqlite3.Connection) -> int:
        """Drop a twentieth of the events, oldest first, until the size is within the limit."""
        dropped = 0
        while _used_bytes(db) > self._limits.max_bytes:
            depth = int(db.execute("SELECT count(*) FROM event").fetchone()[0])
            if depth == 0:
                break
            dropped += db.execute(
                "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?)",
                (depth // 20 + 1,),
            ).rowcount
        return dropped

    def _note(self, state: OutboxState, why: str) -> None:
        """Remember the state, and log it when it changes."""
        if state is self._state:
            return
        self._state = state
        if state is OutboxState.READY:
            log.warning("outbox %s: stores events again", self.path)
        else:
            log.error("outbox %s: %s; events wait in memory", self.path, why)


def _state_of(why: sqlite3.Error) -> OutboxState:
    code = getattr(why, "sqlite_errorcode", 0)
    return OutboxState.FULL if code & 0xFF == sqlite3.SQLITE_FULL else OutboxState.FAILING


def _used_bytes(db: sqlite3.Connection) -> int:
    pages, free, size = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _delete(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    db.executemany("DELETE FROM event WHERE id = ?", [(i,) for i in ids])


def _counter(db: sqlite3.Connection, name: str) -> int:
    row = db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def _count(db: sqlite3.Connection, name: str, by: int) -> None:
    db.execute(
        "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET"
        " value = counter.value + excluded.value",
        (name, by),
    )


def _row(record: _Record) -> Row | None:
    """Read one record; ``None`` where it is not what was written."""
    number, body, crc, kernel, monotonic_s, utc_s, synced = record
    try:
        if zlib.crc32(body.encode()) != crc:
            return None
        event = Transition.from_json(body)
    except (ValueError, AttributeError):
        return None
    return Row(
        id=int(number),
        event=event,
        kernel=kernel,
        monotonic_s=monotonic_s,
        utc_s=utc_s,
        synced=bool(synced),
    )


def _readable(damaged: Path) -> Iterator[_Record]:
    """Read what can be read of a damaged file, from both ends towards the damage."""
    records: dict[int, _Record] = {}
    forwards = "SELECT id, body, crc, kernel, monotonic_s, utc_s, synced FROM event ORDER BY id"
    for query in (forwards, f"{forwards} DESC"):
        with (
            contextlib.suppress(sqlite3.Error, UnicodeError),
            contextlib.closing(sqlite3.connect(damaged, isolation_level=None)) as db,
        ):
            for record in db.execute(query):
                if record[0] in records:
                    break
                records[record[0]] = record
    for number in sorted(records):
        if _row(records[number]) is not None:
            yield records[number]


def _restore(db: sqlite3.Connection, records: Sequence[_Record]) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", records)
    db.execute("COMMIT")

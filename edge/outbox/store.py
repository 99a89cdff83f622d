"""The durable seam between deciding and publishing: one SQLite file, written before it is sent.

The vision process puts changes in and gets them back numbered; the publisher peeks, publishes,
and acknowledges what the broker has taken. The writer's commits wait for the disk (FULL): events
are rare, a sync of a few kilobytes each is what a power cut costs otherwise. The publisher's
acknowledgements and the snapshots do not (NORMAL): losing them to a power cut means sending an
event twice, which every subscriber drops by its ``event_id``.

While the disk refuses, events go through a second file of the same kind in memory (`memory`), so
that they reach the broker all the same.

The publisher learns of new rows by asking ``changed()`` every 20 ms: SQLite keeps the answer in
shared memory, so it costs microseconds, needs no socket between the two processes, and nothing
that could be lost or go stale.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections import deque
from typing import TYPE_CHECKING, Final, Literal, Self

from edge.outbox import set_aside
from edge.outbox import statements as sql
from edge.outbox.disk_and_memory import DiskAndMemory
from edge.outbox.event_file import EventFile
from edge.outbox.expiry import drop_beyond_limits
from edge.outbox.given_numbers import GivenNumbers, numbers_path, read_numbers
from edge.outbox.losses import (
    Loss,
    add_losses,
    find_losses,
    first_numbers,
    read_losses,
    read_runs,
    write_run,
)
from edge.outbox.records import (
    StoredEvent,
    add_to_counter,
    insert_all,
    make_record,
    read_counter,
    read_record,
    write_counter,
)
from edge.outbox.reserve import Reserve
from edge.outbox.settings import (
    DEFAULT_LIMITS,
    BootRange,
    Limits,
    OutboxState,
    OutboxStats,
    memory_path,
)
from edge.outbox.sqlite_file import files_set_aside, is_full, remove_set_aside
from edge.outbox.tables import read_damaged_file
from emoshift.clock import boot_session, read_clock
from emoshift.errors import OutboxError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge import config
    from edge.outbox.event import TransitionEvent
    from edge.outbox.records import Record
    from edge.outbox.set_aside import SetAside
    from edge.outbox.statements import Snapshot
    from emoshift.clock import ClockReading
    from emoshift.messages import Transition

log = logging.getLogger(__name__)

SnapshotKind = Literal["info", "class", "health"]

_STEP: Final = 20
"""Rows deleted at a time on a full disk."""


class Outbox:
    """The event store, as one of its two processes sees it. Safe to share between threads."""

    def __init__(
        self,
        path: Path,
        limits: Limits,
        *,
        writer: bool,
        clock: Callable[[], ClockReading],
        memory: Path | None,
    ) -> None:
        self.path = path
        self._limits = limits
        self._writer = writer
        self._clock = clock
        self._boot_session = boot_session()
        self._lock = threading.RLock()
        self._pending: deque[TransitionEvent] = deque()
        self._overflowed = 0
        self._boot_id = uuid.uuid4().hex
        self._next_seq = 1
        self._next_id = 1
        self._state = OutboxState.READY
        self._versions = (-1, -1)
        self._latest: dict[str, str] = {}
        self._numbers: GivenNumbers | None = None
        self._reserve = Reserve(path)
        self._disk = EventFile(path, durable=writer, clock=clock, on_open=self._opened)
        in_memory = None
        if memory is not None:
            in_memory = EventFile(memory, durable=False, clock=clock, on_open=self._opened_memory)
        self._files = DiskAndMemory(self._disk, in_memory)
        self._start()

    @classmethod
    def open(
        cls,
        path: Path,
        limits: Limits = DEFAULT_LIMITS,
        *,
        writer: bool,
        clock: Callable[[], ClockReading] = read_clock,
        memory: Path | None = None,
    ) -> Self:
        """Open or create the outbox.

        A damaged file is set aside, what can be read of it is carried over, and what is missing is
        reported. A full disk is no error.

        Args:
            path: The SQLite file.
            limits: How much to keep.
            writer: True in the vision process, which numbers the events.
            clock: Reads the clocks of this device.
            memory: A file in memory (tmpfs) through which events go while the disk refuses them;
                the same for both processes.

        Raises:
            OutboxError: The file cannot be opened at all.
        """
        return cls(path, limits, writer=writer, clock=clock, memory=memory)

    @classmethod
    def from_config(cls, config: config.Outbox, *, writer: bool) -> Self:
        """Open the outbox that is configured; see `open`."""
        return cls.open(
            config.path,
            Limits.from_config(config),
            writer=writer,
            memory=memory_path(config.path),
        )

    @property
    def boot_id(self) -> str:
        """Under which this writer numbers its events."""
        return self._boot_id

    @property
    def generation(self) -> int:
        """Grows when a file was opened anew; ids of before mean nothing then."""
        return self._files.generation

    @property
    def state(self) -> OutboxState:
        """Whether events reach the disk."""
        return self._state

    def flush(self) -> list[Transition]:
        """Store what earlier calls could not; see `append`."""
        return self.append(())

    def append(self, changes: Sequence[TransitionEvent]) -> list[Transition]:
        """Store changes in one commit, oldest first, and return what was stored, numbered.

        Where the disk refuses, they go through the file in memory; where that is not there either,
        they wait here, as many as the limits allow, and are stored by a later call; their numbers
        are given then. Never raises because of the disk.
        """
        with self._lock:
            self._pending.extend(changes)
            while len(self._pending) > self._limits.max_pending:
                self._pending.popleft()
                self._overflowed += 1
            if not self._pending:
                self._files.move_to_disk()
                return []
            first = self._next_seq + self._overflowed
            events = [
                change.numbered(self._boot_id, first + i) for i, change in enumerate(self._pending)
            ]
            self._files.move_to_disk()
            why = self._disk.attempt(lambda db: self._insert(db, events))
            self._update_state(why)
            if why is not None and not self._files.write_in_memory(
                lambda db: self._insert(db, events)
            ):
                return []
            self._next_seq = first + len(events)
            self._next_id += len(events)
            self._overflowed = 0
            self._pending.clear()
            if self._numbers is not None:
                self._numbers.set_current(self._first, self._next_seq - 1)
            return events

    def peek(
        self, *, after: int = 0, limit: int = 100, before: int | None = None
    ) -> list[StoredEvent]:
        """Return the oldest events whose id is larger than ``after``; they stay in the store.

        Args:
            after: The id behind which to begin.
            limit: How many at most.
            before: The first id that is not wanted any more.
        """
        records: list[Record] = []

        def read(db: sqlite3.Connection) -> None:
            records.extend(sql.waiting(db, after=after, before=before, limit=limit))

        with self._lock:
            if not self._writer:
                self._update_state(self._disk.attempt(read, transaction=False))
            else:
                self._disk.attempt(read, transaction=False)
            if self._files.in_memory(read):
                records.sort(key=lambda record: record[0])
                del records[limit:]
            rows = [read_record(record) for record in records]
            if None in rows:
                self._quarantine([r for r, row in zip(records, rows, strict=True) if row is None])
            return [row for row in rows if row is not None]

    def newest_id(self) -> int:
        """Return the id of the newest event that waits; 0 without any."""
        newest = 0

        def read(db: sqlite3.Connection) -> None:
            nonlocal newest
            newest = max(newest, sql.newest_id(db))

        with self._lock:
            self._files.read(read)
            return newest

    def ack(self, ids: Sequence[int]) -> bool:
        """Take out events that the broker has taken; False where the disk refuses, try again."""
        if not ids:
            return True
        with self._lock:
            elsewhere = self._ack_in_memory(ids)
            why = self._disk.attempt(
                lambda db: sql.move_to_sent(db, ids, elsewhere=elsewhere), durable=False
            )
            self._update_if_failing(why)
            if why is None or not is_full(why):
                return why is None
            self._reserve.release()
            for start in range(0, len(ids), _STEP):
                some = ids[start : start + _STEP]
                if self._disk.attempt(lambda db, some=some: sql.delete(db, some), durable=False):  # type: ignore[misc]
                    return False
            self._disk.attempt(
                lambda db: db.execute("PRAGMA wal_checkpoint").fetchall(), transaction=False
            )
            return True

    def _ack_in_memory(self, ids: Sequence[int]) -> frozenset[int]:
        found: list[int] = []
        self._files.in_memory(lambda db: found.extend(sql.delete(db, ids)), transaction=True)
        return frozenset(found)

    def refuse(self, number: int, reason: str) -> bool:
        """Set an event aside that the broker does not take; whether that was possible."""
        now = self._clock()
        with self._lock:
            self._files.move_to_disk()
            return not self._disk.attempt(
                lambda db: set_aside.add(db, number, reason=reason, utc_s=now.utc_s),
                durable=False,
            )

    def changed(self) -> bool:
        """Whether the other process has committed anything since the last call. Cheap."""
        with self._lock:
            before = self._versions, self.generation
            versions = [-1, -1]

            def read(db: sqlite3.Connection, place: int) -> None:
                versions[place] = int(db.execute("PRAGMA data_version").fetchone()[0])

            self._disk.attempt(lambda db: read(db, 0), transaction=False)
            self._files.in_memory(lambda db: read(db, 1))
            self._versions = (versions[0], versions[1])
            return before != (self._versions, self.generation)

    def put_snapshot(self, kind: SnapshotKind, body: str) -> bool:
        """Replace the latest word of a kind; False where the disk refuses."""
        now = self._clock()
        with self._lock:
            self._latest[kind] = body

            def write(db: sqlite3.Connection) -> None:
                sql.write_snapshot(db, kind, body, boot_session=self._boot_session, now=now)
                present = {snapshot.kind for snapshot in sql.read_snapshots(db)}
                for other, latest in self._latest.items():
                    if other not in present:  # lost with a damaged file
                        sql.write_snapshot(
                            db, other, latest, boot_session=self._boot_session, now=now
                        )

            if self._disk.attempt(write, durable=False) is None:
                return True
            return self._files.write_in_memory(write)

    def snapshots(self) -> list[Snapshot]:
        """Return the latest word of every kind that was ever put."""
        found: dict[str, Snapshot] = {}

        def read(db: sqlite3.Connection) -> None:
            for snapshot in sql.read_snapshots(db):
                known = found.get(snapshot.kind)
                if known is None or known.monotonic_s <= snapshot.monotonic_s:
                    found[snapshot.kind] = snapshot

        with self._lock:
            self._files.read(read)
            return [found[kind] for kind in sorted(found)]

    def next_session(self, *, reserve: int = 1) -> int:
        """Return a number larger than any before, also after the file or the clock was lost.

        Args:
            reserve: How many numbers from it on are taken.
        """
        session = int(self._clock().utc_s)

        def take(db: sqlite3.Connection) -> None:
            nonlocal session
            session = max(read_counter(db, "session") + 1, session)
            write_counter(db, "session", session + reserve - 1)

        with self._lock:
            self._disk.attempt(take, durable=False)
            return session

    def stats(self) -> OutboxStats:
        """Count what waits and what was given up."""
        depth = dropped = damaged = dead = stored = 0

        def read(db: sqlite3.Connection) -> None:
            nonlocal depth, dropped, damaged, dead, stored
            depth += sql.count(db, "queue")
            dropped += read_counter(db, "dropped")
            damaged += read_counter(db, "damaged")
            dead += sql.count(db, "dead")
            stored = max(stored, read_counter(db, "id"))

        with self._lock:
            self._files.read(read)
            return OutboxStats(
                depth=depth,
                pending=len(self._pending),
                dropped=dropped + self._overflowed,
                damaged=damaged,
                set_aside=dead,
                stored=stored,
                state=self._state,
            )

    def losses(self) -> list[Loss]:
        """Return what no subscriber can get any more, oldest first, the refused ones included."""
        found: list[Loss] = []

        def read(db: sqlite3.Connection) -> None:
            found.extend([*read_losses(db), *set_aside.refused(db)])

        with self._lock:
            self._files.read(read)
            return found

    def runs(self) -> list[BootRange]:
        """Return by boot id, oldest first, which numbers are settled and which can be had again."""
        found: list[BootRange] = []

        def read(db: sqlite3.Connection) -> None:
            lowest, waiting = sql.lowest_kept(db), sql.lowest_waiting(db)
            found[:] = [
                BootRange(
                    boot_id=boot,
                    kept_from=lowest.get(boot, last + 1),
                    settled=waiting.get(boot, last + 1) - 1,
                )
                for boot, last in sql.in_order(db, read_runs(db))
            ]

        with self._lock:
            self._disk.attempt(read, transaction=False)
            return found

    def sent(self, boot_id: str, first: int, last: int, *, limit: int = 1000) -> list[StoredEvent]:
        """Return events that were acknowledged and are still kept, by their numbers."""
        records: list[Record] = []

        def read(db: sqlite3.Connection) -> None:
            records[:] = sql.sent(db, boot_id, first, last, limit=limit)

        with self._lock:
            self._disk.attempt(read, transaction=False)
            return [row for record in records if (row := read_record(record)) is not None]

    def expire(self) -> None:
        """Do what only time demands: drop what is too old, go back to a disk that has recovered."""
        now = self._clock()
        with self._lock:
            if self._writer:
                self.flush()
            why = self._disk.attempt(lambda db: self._tidy(db, now), durable=False)
            if self._writer:
                self._update_state(why)
            if self._state is OutboxState.READY:
                self._reserve.make()
            if now.synced:
                self._remove_old_set_aside(now.utc_s)
            if self._numbers is not None:
                self._disk.attempt(self._note_first, transaction=False)

    def _remove_old_set_aside(self, now_s: float) -> None:
        for file in files_set_aside(self.path):
            # The other process removes them too; where the disk refuses, another minute will do.
            with contextlib.suppress(OSError):
                if now_s - file.stat().st_ctime > self._limits.max_age_s:
                    remove_set_aside(file)

    def dead(self) -> list[SetAside]:
        """Return what was set aside, oldest first."""
        found: list[SetAside] = []
        with self._lock:
            why = self._disk.attempt(
                lambda db: found.extend(set_aside.list_all(db)), transaction=False
            )
            if why is not None:
                raise OutboxError(f"{self.path}: cannot be read: {why}")
            return found

    def retry(self, numbers: Sequence[int]) -> int:
        """Put events that were set aside back into the queue; returns how many."""
        return self._on_dead(lambda db: set_aside.retry(db, numbers))

    def remove(self, numbers: Sequence[int]) -> int:
        """Give up events that were set aside; returns how many."""
        utc_s = self._clock().utc_s
        return self._on_dead(lambda db: set_aside.remove(db, numbers, utc_s=utc_s))

    def _on_dead(self, work: Callable[[sqlite3.Connection], int]) -> int:
        done = 0

        def run(db: sqlite3.Connection) -> None:
            nonlocal done
            done = work(db)

        with self._lock:
            if (why := self._disk.attempt(run)) is not None:
                raise OutboxError(f"{self.path}: cannot be written: {why}")
            return done

    def close(self) -> None:
        """Store what waits in memory, if the disk takes it, and close the file."""
        with self._lock:
            if self._writer:
                self.flush()
            if self._pending:
                log.error(
                    "outbox %s: %d events lost: the disk refused them",
                    self.path,
                    len(self._pending),
                )
                if self._numbers is not None:  # so that the next start reports them as lost
                    lost = self._overflowed + len(self._pending)
                    self._numbers.set_current(self._first, self._next_seq - 1 + lost)
            self._files.close()
            if self._numbers is not None:
                self._numbers.close()
                self._numbers = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- opening

    def _start(self) -> None:
        self._first = 1
        earlier = read_numbers(numbers_path(self.path)) if self._writer else {}
        try:
            self._disk.open()
        except OutboxError:
            self.close()
            raise
        except Exception as why:
            if not is_full(why):
                self.close()
                raise OutboxError(f"{self.path}: cannot be opened: {why}") from why
            self._update_state(why)
        if self._writer:
            self._numbers = GivenNumbers(numbers_path(self.path), self._boot_id, earlier)
            if self._state is OutboxState.READY:
                self._disk.attempt(self._note_first, transaction=False)
                self._disk.attempt(self._delete_finished_runs, durable=False)
                self._reserve.make()

    def _note_first(self, db: sqlite3.Connection) -> None:
        """Note which numbers may still be there, so that what was let go is no loss."""
        if self._numbers is not None:
            lowest = first_numbers(db)
            self._first = lowest.get(self._boot_id, self._next_seq)
            self._numbers.retain_earlier(lowest)
            self._numbers.set_current(self._first, self._next_seq - 1)

    def _delete_finished_runs(self, db: sqlite3.Connection) -> None:
        """Forget boot ids that have nothing left; they are not among the noted any more."""
        noted = {self._boot_id, *read_numbers(numbers_path(self.path))}
        for boot in read_runs(db).keys() - first_numbers(db).keys() - noted:
            db.execute("DELETE FROM run WHERE boot = ?", (boot,))

    def _opened(self, db: sqlite3.Connection, damaged: Path | None) -> None:
        """Carry over what a damaged predecessor still holds, and find out what it does not."""
        carried = {} if damaged is None else read_damaged_file(damaged)
        db.execute("BEGIN IMMEDIATE")
        for table, records in carried.items():
            insert_all(db, table, records)
        lost = self._record_losses(db, thorough=damaged is not None)
        self._next_id = max(self._next_id, sql.next_id(db))
        db.execute("COMMIT")
        if damaged is not None:
            log.error(
                "outbox %s was damaged: set aside as %s, %d events carried over, %d lost",
                self.path,
                damaged.name,
                len(carried.get("queue", ())),
                lost,
            )
        elif lost:
            log.error("outbox %s: %d events are missing and reported as lost", self.path, lost)

    def _opened_memory(self, db: sqlite3.Connection, _damaged: Path | None) -> None:
        self._next_id = max(self._next_id, sql.next_id(db))

    def _record_losses(self, db: sqlite3.Connection, *, thorough: bool) -> int:
        given = read_numbers(numbers_path(self.path))
        if self._writer and self._next_seq > 1:
            given[self._boot_id] = (self._first, self._next_seq - 1)
        if not given:
            return 0
        runs, elsewhere = read_runs(db), self._files.numbers_in_memory()
        for boot, last in elsewhere.last.items():
            runs[boot] = max(last, runs.get(boot, 0))
        found = find_losses(db, given, runs=None if thorough else runs, elsewhere=elsewhere.waiting)
        lost = add_losses(db, found, utc_s=self._clock().utc_s)
        if lost:
            add_to_counter(db, "damaged", lost)
        for boot, (_, last) in given.items():
            if last > runs.get(boot, 0):
                write_run(db, boot, last)
        return lost

    # -- pieces of work

    def _insert(self, db: sqlite3.Connection, events: Sequence[Transition]) -> None:
        now = self._clock()
        insert_all(
            db,
            "queue",
            [
                make_record(self._next_id + i, event, boot_session=self._boot_session, now=now)
                for i, event in enumerate(events)
            ],
        )
        write_counter(db, "id", self._next_id + len(events) - 1)
        write_run(db, self._boot_id, events[-1].seq)
        if self._overflowed:  # what memory lost
            loss = Loss(
                boot_id=self._boot_id,
                first=self._next_seq,
                last=self._next_seq + self._overflowed - 1,
                reason="memory",
            )
            add_losses(db, [loss], utc_s=now.utc_s)
        self._drop(db, now)

    def _tidy(self, db: sqlite3.Connection, now: ClockReading) -> None:
        if self._state is not OutboxState.READY:  # a write, to see whether it takes any
            write_counter(db, "id", max(self._next_id - 1, read_counter(db, "id")))
        self._drop(db, now)

    def _drop(self, db: sqlite3.Connection, now: ClockReading) -> None:
        """Drop what is older or more than may be kept, and log how much it was."""
        dropped = drop_beyond_limits(
            db, self._limits, boot_session=self._boot_session, now=now, sent=self._writer
        )
        for reason, count in dropped.items():
            log.warning("outbox %s: %d oldest events dropped (%s)", self.path, count, reason)

    def _quarantine(self, records: Sequence[Record]) -> None:
        """Put rows that are not what was written where they hold up nothing."""
        log.error("outbox %s: %d damaged events set aside", self.path, len(records))
        now = self._clock()

        def work(db: sqlite3.Connection) -> None:
            set_aside.quarantine(db, records, utc_s=now.utc_s)
            self._record_losses(db, thorough=True)

        self._disk.attempt(work, durable=False)

    # -- the state

    def _update_if_failing(self, why: Exception | None) -> None:
        if why is not None:
            self._update_state(why)

    def _update_state(self, why: Exception | None) -> None:
        """Remember the state, and log it when it changes."""
        state = OutboxState.READY
        if why is not None:
            state = OutboxState.FULL if is_full(why) else OutboxState.FAILING
        if state is self._state:
            return
        self._state = state
        if state is OutboxState.READY:
            log.warning("outbox %s: stores events again", self.path)
        else:
            where = "go through memory" if self._files.has_memory else "wait in memory"
            log.error("outbox %s: %s; events %s", self.path, why, where)

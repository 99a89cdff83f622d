"""Writing history: one transaction per batch, the same however often a batch is delivered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, case, func, select, update
from sqlalchemy.exc import DBAPIError

from dashboard.store import schema as t
from dashboard.store.batch import UNKNOWN_DEVICE, Batch
from dashboard.store.database import insert_into
from dashboard.store.events import MINUTE_MS, Row, store_in_postgresql, store_in_sqlite
from dashboard.store.registry import AUTOMATIC, admit, registry_version
from emoshift.emotions import EMOTIONS, STATES
from emoshift.messages import MAX_AHEAD_MS, Problem, Transition, is_plausible, to_ms
from emoshift.topics import Address, read_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Engine

    from emoshift.messages import Ledger


MIN_FACES: Final = 5

_CODE: Final = {name: number for number, name in enumerate(STATES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a batch.

    Attributes:
        new: Events that were not known before.
        duplicates: Events that were, and were dropped.
        ledgers: The latest ledger of each device that sent one.
    """

    new: int
    duplicates: int
    ledgers: Mapping[Address, Ledger] = field(default_factory=dict)


class HistoryWriter:
    """The writer of one database; several of them, in several processes, may share it.

    Args:
        engine: The database.
        automatic: How many devices may be approved by themselves.
        min_faces: Of a smaller class nothing is kept but that it was too small.
    """

    def __init__(
        self, engine: Engine, *, automatic: int = AUTOMATIC, min_faces: int = MIN_FACES
    ) -> None:
        self._engine = engine
        self._automatic = automatic
        self._min_faces = min_faces
        self._version = 0
        self._devices: dict[Address, int] = {}
        self._boots: dict[str, tuple[int, int]] = {}
        self._models: dict[str, int] = {}
        ours = engine.dialect.name == "postgresql"
        self._store = store_in_postgresql if ours else store_in_sqlite

    def write(self, batch: Batch) -> Written:
        """Write everything in one transaction, or nothing.

        Raises:
            OperationalError: The database is away; the batch can be written again.
        """
        try:
            with self._engine.begin() as connection:
                return self._write(connection, batch)
        except BaseException:
            # Numbers learned in a transaction that was undone may never be used.
            self._forget_numbers()
            raise

    def _forget_numbers(self) -> None:
        self._devices.clear()
        self._boots.clear()
        self._models.clear()

    def takes_events(self) -> bool:
        """Whether the database would store an event at all; nothing is kept of the attempt."""
        probe = (-1, 1, -1, 0, 0, "probe", "probe", 0, 1, 0.5, 0.0, 0, 0, 0, -1)
        with self._engine.connect() as connection, connection.begin() as transaction:
            try:
                self._store(connection, [probe])
            except DBAPIError:
                return False
            finally:
                transaction.rollback()
        return True

    def set_aside(self, topic: str, payload: bytes, reason: str, *, received_ms: int) -> None:
        """Keep a message that the database refuses, with its payload, and count it."""
        batch = Batch()
        place = read_topic(topic)
        address = UNKNOWN_DEVICE if place is None else place[0]
        detail = f"refused by the database: {reason}"
        batch.note_problem(address, Problem.MALFORMED, detail=detail, received_ms=received_ms)
        with self._engine.begin() as connection:
            connection.execute(
                t.DEAD_LETTER.insert(),
                {
                    "received_ms": received_ms,
                    "topic": topic,
                    "payload": payload,
                    "reason": reason[:300],
                },
            )
            self._write_problems(connection, batch)

    def _write(self, connection: Connection, batch: Batch) -> Written:
        if (version := registry_version(connection)) != self._version:
            self._forget_numbers()  # something was forgotten since
            self._version = version
        fresh = {a: at for a, at in batch.seen.items() if a not in self._devices}
        approved = admit(connection, fresh, automatic=self._automatic)
        batch = batch.only(approved | self._devices.keys())
        self._learn_devices(connection, batch)
        written = self._write_transitions(connection, batch)
        self._write_presence(connection, batch)
        self._write_classes(connection, batch)
        self._write_healths(connection, batch)
        self._write_problems(connection, batch)
        ledgers = {address: ledger for address, ledger, _ in batch.ledgers}
        self._write_losses(connection, batch)
        return replace(written, ledgers=ledgers)

    # -- names to numbers

    def heartbeat(self, name: str, **figures: int | bool) -> None:
        """Store that a worker lives, and what it has done since it was started."""
        insert = insert_into(self._engine, t.WORKER)
        statement = insert.values(name=name, **figures)
        with self._engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["name"], set_=dict(figures))
            )

    def _learn_devices(self, connection: Connection, batch: Batch) -> None:
        seen = batch.seen
        if fresh := sorted(address for address in seen if address not in self._devices):
            rows = [
                {"site": a.site, "name": a.device, "first_seen_ms": seen[a], "seen_ms": seen[a]}
                for a in fresh
            ]
            insert = insert_into(self._engine, t.DEVICE)
            connection.execute(insert.on_conflict_do_nothing(), rows)
            sites = sorted({a.site for a in fresh})
            found = connection.execute(
                select(t.DEVICE.c.id, t.DEVICE.c.site, t.DEVICE.c.name).where(
                    t.DEVICE.c.site.in_(sites)
                )
            )
            self._devices.update({Address(row.site, row.name): row.id for row in found})
        if batch.heard:
            numbers = sorted((self._devices[address], seen[address]) for address in batch.heard)
            connection.execute(
                update(t.DEVICE)
                .where(t.DEVICE.c.id == bindparam("of"), t.DEVICE.c.seen_ms < bindparam("at"))
                .values(seen_ms=bindparam("at")),
                [{"of": number, "at": at} for number, at in numbers],
            )

    def _learn_boots(self, connection: Connection, batch: Batch) -> None:
        owners = {
            body.boot_id: self._devices[address]
            for address, body, _ in reversed(batch.transitions)
            if body.boot_id not in self._boots
        }
        if not owners:
            return
        insert = insert_into(self._engine, t.BOOT)
        rows = [{"boot_id": boot, "device": device} for boot, device in sorted(owners.items())]
        connection.execute(insert.on_conflict_do_nothing(), rows)
        for part in _parts(sorted(owners), 500):
            found = connection.execute(select(t.BOOT).where(t.BOOT.c.boot_id.in_(part)))
            self._boots.update({row.boot_id: (row.id, row.device) for row in found})

    def _learn_models(self, connection: Connection, names: set[str]) -> None:
        if fresh := sorted(names - self._models.keys()):
            insert = insert_into(self._engine, t.MODEL)
            connection.execute(insert.on_conflict_do_nothing(), [{"name": n} for n in fresh])
            found = connection.execute(select(t.MODEL).where(t.MODEL.c.name.in_(fresh)))
            self._models.update({row.name: row.id for row in found})

    # -- events

    def _write_transitions(self, connection: Connection, batch: Batch) -> Written:
        if not batch.transitions:
            return Written(new=0, duplicates=0)
        self._learn_boots(connection, batch)
        self._learn_models(connection, {body.model for _, body, _ in batch.transitions})
        rows: dict[tuple[int, int], Row] = {}
        believed = 0
        for address, body, received_ms in batch.transitions:
            boot, owner = self._boots[body.boot_id]
            if owner != self._devices[address]:
                detail = f"transition: boot id {body.boot_id} belongs to another device"
                batch.note_problem(address, Problem.FORGED, detail=detail, received_ms=received_ms)
                continue
            believed += 1
            if (boot, body.seq) not in rows:
                rows[boot, body.seq] = self._row(boot, owner, body, received_ms)
        new = self._store(connection, [rows[key] for key in sorted(rows)]) if rows else 0
        return Written(new=new, duplicates=believed - new)

    def _row(self, boot: int, device: int, body: Transition, received_ms: int) -> Row:
        onset_ms, decided_ms = to_ms(body.onset), to_ms(body.decided)
        # A clock that nobody has set says nothing; the time of arrival is the best there is.
        placed_ms = onset_ms if body.clock_synced else received_ms - (decided_ms - onset_ms)
        return (
            boot,
            body.seq,
            device,
            placed_ms,
            received_ms,
            body.camera,
            body.track,
            _CODE[body.before],
            _CODE[body.after],
            body.confidence,
            body.dwell_s,
            decided_ms - onset_ms,
            body.latency_ms,
            (not body.clock_synced) * t.FLAG_UNSYNCED
            | body.historical * t.FLAG_HISTORICAL
            | body.degraded * t.FLAG_DEGRADED,
            self._models[body.model],
        )

    # -- state

    def _write_presence(self, connection: Connection, batch: Batch) -> None:
        notes = []
        for address, status, at in batch.statuses:
            before = self._column(connection, address, "status")
            if before and _late(before, status.model_dump(by_alias=True)):
                continue
            self._set(connection, address, status=status.model_dump_json(by_alias=True))
            if not before or '"state":"' + status.state + '"' not in before:
                notes.append(self._note(address, at, status.state, f"session {status.session}"))
        for address, info, at in batch.infos:
            body = info.model_dump_json(by_alias=True)
            if body != self._column(connection, address, "info"):
                self._set(connection, address, info=body)
                over = f" with {info.site_layer}" if info.site_layer else ""
                detail = f"software {info.software}, model {info.model}{over}, {info.isolation}"
                notes.append(self._note(address, at, "info", detail[:300]))
        if notes:
            connection.execute(t.NOTE.insert(), notes)

    def _write_losses(self, connection: Connection, batch: Batch) -> None:
        """Note each loss that a device reports, once."""
        for address, ledger, at_ms in batch.ledgers:
            known = set(
                connection.execute(
                    select(t.NOTE.c.detail).where(
                        t.NOTE.c.device == self._devices[address], t.NOTE.c.what == "lost"
                    )
                ).scalars()
            )
            notes = [
                self._note(address, at_ms, "lost", detail)
                for loss in ledger.lost
                if (detail := f"{loss.reason}: {loss.boot_id} {loss.first} to {loss.last}")
                not in known
            ]
            if notes:
                connection.execute(t.NOTE.insert(), notes)

    def _note(self, address: Address, at_ms: int, what: str, detail: str) -> dict[str, Any]:
        return {
            "device": self._devices[address],
            "at_ms": at_ms,
            "what": what,
            "detail": detail,
        }

    def _column(self, connection: Connection, address: Address, name: str) -> str | None:
        wanted = select(t.DEVICE.c[name]).where(t.DEVICE.c.id == self._devices[address])
        if self._engine.dialect.name == "postgresql":
            wanted = wanted.with_for_update()
        value: str | None = connection.execute(wanted).scalar()
        return value

    def _set(self, connection: Connection, address: Address, **values: str) -> None:
        statement = update(t.DEVICE).where(t.DEVICE.c.id == self._devices[address])
        connection.execute(statement.values(**values))

    def _write_classes(self, connection: Connection, batch: Batch) -> None:
        """Add class summaries to their minutes; of one that is not newer no count is added.

        It may be a copy. But whether it withholds its minute counts whenever it comes: several
        workers store the summaries of a class in any order.
        """
        merged: dict[tuple[int, int], dict[str, int]] = {}
        for address, body, received_ms in batch.classes:
            at_ms, device = to_ms(body.at), self._devices[address]
            if abs(at_ms - received_ms) > MAX_AHEAD_MS:  # a clock that nobody has set
                at_ms = received_ms
            small = body.window_s is None and (body.faces or 0) < self._min_faces
            hidden = body.suppressed or small
            counts = (0,) * len(STATES)
            if not hidden and body.states is not None:
                counts = body.states.counts()
            row = {
                "device": device,
                "minute": at_ms // MINUTE_MS,
                "at_ms": at_ms,
                "shown": int(not hidden),
                "hidden": int(hidden),
                "windows": int(not hidden and body.window_s is not None),
                **dict(zip(STATES, counts, strict=True)),
            }
            known = merged.setdefault((device, row["minute"]), row)
            if known is row:
                continue
            if at_ms > known["at_ms"]:
                for name in ("shown", "hidden", "windows", *STATES):
                    known[name] += row[name]
                known["at_ms"] = at_ms
            else:
                known["hidden"] = max(known["hidden"], row["hidden"])
        if not merged:
            return
        self._tally_windows(connection, batch)
        insert = insert_into(self._engine, t.CLASS)
        names = ("shown", "hidden", "windows", *STATES)
        table, came = t.CLASS.c, insert.excluded
        newer = came.at_ms > table.at_ms
        values = {
            name: case((newer, table[name] + came[name]), else_=table[name]) for name in names
        }
        withheld = case((came.hidden > table.hidden, came.hidden), else_=table.hidden)
        values["hidden"] = case((newer, table.hidden + came.hidden), else_=withheld)
        values["at_ms"] = case((newer, came.at_ms), else_=table.at_ms)
        statement = insert.on_conflict_do_update(index_elements=["device", "minute"], set_=values)
        connection.execute(statement, [merged[key] for key in sorted(merged)])

    def _tally_windows(self, connection: Connection, batch: Batch) -> None:
        """Add the changes of windows of time to the sums by minute, once for each window."""
        windows: dict[tuple[int, int], tuple[int, ...]] = {}
        for address, body, _ in batch.classes:
            if body.changes is not None:
                windows[self._devices[address], to_ms(body.at)] = body.changes.counts()
        for (device, at_ms), counts in sorted(windows.items()):
            minute = at_ms // MINUTE_MS
            known = connection.execute(
                select(t.CLASS.c.at_ms).where(
                    t.CLASS.c.device == device, t.CLASS.c.minute == minute
                )
            ).scalar()
            if known is not None and known >= at_ms:
                continue  # a copy
            insert = insert_into(self._engine, t.TALLY)
            row = {"device": device, "minute": minute, **dict(zip(EMOTIONS, counts, strict=True))}
            added = {name: t.TALLY.c[name] + insert.excluded[name] for name in EMOTIONS}
            keys = ["device", "minute"]
            connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=added), row)

    def _write_healths(self, connection: Connection, batch: Batch) -> None:
        """Keep the newest health of each device, and of each minute."""
        if not batch.healths:
            return
        newest: dict[int, str] = {}
        minutes: dict[tuple[int, int], str] = {}
        for address, health, at_ms in batch.healths:
            body = health.model_dump_json(by_alias=True)
            device = self._devices[address]
            newest[device] = body
            minutes[device, at_ms // MINUTE_MS] = body
        connection.execute(
            update(t.DEVICE)
            .where(t.DEVICE.c.id == bindparam("of"))
            .values(health=bindparam("new")),
            [{"of": device, "new": newest[device]} for device in sorted(newest)],
        )
        insert = insert_into(self._engine, t.HEALTH)
        statement = insert.on_conflict_do_update(
            index_elements=["device", "minute"], set_={"body": insert.excluded.body}
        )
        rows = [{"device": d, "minute": m, "body": minutes[d, m]} for d, m in sorted(minutes)]
        connection.execute(statement, rows)

    def _write_problems(self, connection: Connection, batch: Batch) -> None:
        """Count problems; those of devices nobody has ever believed share one entry."""
        if not batch.problems:
            return
        known = self._known(connection, {address for address, _ in batch.problems})
        merged: dict[tuple[Address, Problem], dict[str, Any]] = {}
        for (address, problem), entry in batch.problems.items():
            place = address if address in known else UNKNOWN_DEVICE
            row = merged.setdefault(
                (place, problem),
                {"site": place.site, "name": place.device, "problem": problem.value, "count": 0},
            )
            row["count"] += entry.count
            row["last_ms"], row["detail"] = entry.last_ms, entry.detail
        insert = insert_into(self._engine, t.PROBLEM)
        statement = insert.on_conflict_do_update(
            index_elements=["site", "name", "problem"],
            set_={
                "count": t.PROBLEM.c.count + insert.excluded.count,
                "last_ms": insert.excluded.last_ms,
                "detail": insert.excluded.detail,
            },
        )
        connection.execute(statement, [merged[key] for key in sorted(merged)])

    def _known(self, connection: Connection, addresses: set[Address]) -> set[Address]:
        known = addresses & self._devices.keys()
        for address in addresses - known:
            found = connection.execute(
                select(func.count())
                .select_from(t.DEVICE)
                .where(t.DEVICE.c.site == address.site, t.DEVICE.c.name == address.device)
            )
            if found.scalar():
                known.add(address)
        return known


def _late(before: str, status: dict[str, Any]) -> bool:
    """Whether a status is older than the one known of the same device.

    Within one session the last word is that it ended, in whatever order the two arrive.
    """
    known = json.loads(before)
    if not is_plausible(int(status["session"]), after=int(known["session"])):
        return True
    if known["instance"] != status["instance"]:
        return False
    return _rank(status) < _rank(known)


def _rank(status: dict[str, Any]) -> tuple[int, bool]:
    return int(status["session"]), status["state"] != "online"


def _parts(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[at : at + size] for at in range(0, len(items), size))

"""Reading history: what the pages show, already anonymous where it must be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, literal, literal_column, select

from dashboard.store import schema as t
from dashboard.store.events import MINUTE_MS
from dashboard.store.windows import WINDOW_MIN, Window, newest_window, read_windows
from emoshift.emotions import EMOTIONS, STATES
from emoshift.topics import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection, Engine, Row

MAX_POINTS: Final = 1500
DAY_MIN: Final = 24 * 60
WEEK_MIN: Final = 7 * DAY_MIN
"""Most points of one chart; longer spans get wider buckets."""

_WIDTHS_MIN: Final = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDevice:
    """One device as last seen by the workers.

    Attributes:
        id: Number in this database.
        address: Site and name.
        seen_ms: Its last believed message.
        status, info, health: Newest payloads, ``None`` where none came yet.
    """

    id: int
    address: Address
    seen_ms: int
    status: dict[str, Any] | None
    info: dict[str, Any] | None
    health: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Some minutes of one class, empty where too few faces were there to say anything.

    Attributes:
        start_ms: Its beginning.
        states: Share of faces per state in the order of `STATES`, or ``None``.
        changes: Transitions per emotion that began, in the order of `EMOTIONS`, or ``None``.
        minutes: Minutes in it that may be shown.
        faces: Faces in view, mean of those minutes.
    """

    start_ms: int
    states: tuple[float, ...] | None
    changes: tuple[int, ...] | None
    minutes: int
    faces: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A marked lesson; ``ended_ms`` is ``None`` while it lasts."""

    id: int
    title: str
    started_ms: int
    ended_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A note of one account at one moment of a class, such as "group work"."""

    id: int
    at_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One stored transition, as device pages and exports show it."""

    placed_ms: int
    received_ms: int
    event_id: str
    camera: str
    track: str
    before: str
    after: str
    confidence: float
    dwell_s: float
    delay_ms: int
    latency_ms: int
    clock_synced: bool
    historical: bool
    degraded: bool
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that happened to a device: came, went, changed."""

    at_ms: int
    what: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProblem:
    """Refused messages of one kind."""

    address: Address
    problem: str
    count: int
    last_ms: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What a worker reports of itself.

    Attributes:
        name: Its stable name.
        seen_ms: Its last sign of life.
        connected: Whether it had the broker then.
        new, doubled, refused: Events stored, copies dropped, messages refused since its start.
        waiting: Messages received and not stored yet.
        committed_ms: Its last commit; 0 for none since its start.
        lag_ms: How long the oldest message of that commit had waited.
        set_aside: Messages since its start that the database refused, kept as dead letters.
    """

    name: str
    seen_ms: int
    connected: bool
    new: int
    doubled: int
    refused: int
    waiting: int
    committed_ms: int
    lag_ms: int
    set_aside: int


class Archive:
    """The reader of one database.

    Args:
        engine: The database.
        windows: Whether a class is shown in windows of time alone, as viewers see it.
    """

    def __init__(self, engine: Engine, *, windows: bool = False) -> None:
        self._engine = engine
        self.windows = windows

    def _connect(self) -> Connection:
        return self._engine.connect().execution_options(reads_only=True)

    def devices(self) -> list[StoredDevice]:
        """Return every device, by site and name."""
        with self._connect() as connection:
            rows = connection.execute(select(t.DEVICE).order_by(t.DEVICE.c.site, t.DEVICE.c.name))
            return [_device(row) for row in rows]

    def registry_version(self) -> int:
        """Return a number that grows whenever something is forgotten or repaired."""
        with self._connect() as connection:
            return int(connection.execute(select(t.REGISTRY.c.version)).scalar() or 0)

    def addresses(self) -> set[Address]:
        """Return the names of all devices."""
        with self._connect() as connection:
            rows = connection.execute(select(t.DEVICE.c.site, t.DEVICE.c.name))
            return {Address(row.site, row.name) for row in rows}

    def device(self, address: Address) -> StoredDevice | None:
        """Return one device, or ``None`` for one that never sent a believed message."""
        with self._connect() as connection:
            row = connection.execute(
                select(t.DEVICE).where(
                    t.DEVICE.c.site == address.site, t.DEVICE.c.name == address.device
                )
            ).first()
            return None if row is None else _device(row)

    def class_history(self, device: int, start_ms: int, end_ms: int) -> list[Bucket]:
        """Return a class over time, at most about `MAX_POINTS` buckets.

        A minute is shown only when the class was large enough during all of it: one summary that
        was withheld withholds the minute. Transitions are shown in the same minutes alone.
        """
        if self.windows:
            return self._class_windows(device, start_ms, end_ms)
        first, last = start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS)
        width = bucket_width_min(last - first)
        # Whole-number division in both dialects; the width is one of ours.
        bucket: ColumnElement[Any] = literal_column(f"class_minute.minute / {width}").label(
            "bucket"
        )
        shown = and_(t.CLASS.c.hidden == 0, t.CLASS.c.shown > 0)
        wanted = (
            select(
                bucket,
                func.count().label("minutes"),
                func.sum(t.CLASS.c.shown).label("shown"),
                *(func.sum(t.CLASS.c[name]).label(f"s_{name}") for name in STATES),
                *(
                    func.sum(func.coalesce(t.TALLY.c[name], 0)).label(f"c_{name}")
                    for name in EMOTIONS
                ),
            )
            .select_from(
                t.CLASS.outerjoin(
                    t.TALLY,
                    and_(
                        t.TALLY.c.device == t.CLASS.c.device, t.TALLY.c.minute == t.CLASS.c.minute
                    ),
                )
            )
            .where(
                t.CLASS.c.device == device,
                t.CLASS.c.minute >= first,
                t.CLASS.c.minute < last,
                shown,
            )
            .group_by(literal_column("bucket"))
            .order_by(literal_column("bucket"))
        )
        with self._connect() as connection:
            rows = connection.execute(wanted).all()
        return [_bucket(row, width) for row in rows]

    def _class_windows(self, device: int, start_ms: int, end_ms: int) -> list[Bucket]:
        with self._connect() as connection:
            found = read_windows(connection, device, start_ms, end_ms)
        width_ms = MINUTE_MS * max(
            WINDOW_MIN,
            bucket_width_min((end_ms - start_ms) // MINUTE_MS // WINDOW_MIN) * WINDOW_MIN,
        )
        shown = (window for window in found if window.states is not None)
        return [
            _joined(start * width_ms, list(windows))
            for start, windows in groupby(shown, key=lambda window: window.start_ms // width_ms)
        ]

    def newest_window(self, device: int, *, now_ms: int) -> Window | None:
        """Return the newest window of a class by now, whatever it shows; ``None`` for none."""
        with self._connect() as connection:
            return newest_window(connection, device, now_ms=now_ms)

    def last_class_minute(self, device: int, start_ms: int, end_ms: int) -> int | None:
        """Return the end of the last minute of a span that may be shown, or ``None``."""
        wanted = select(func.max(t.CLASS.c.minute)).where(
            t.CLASS.c.device == device,
            t.CLASS.c.minute >= start_ms // MINUTE_MS,
            t.CLASS.c.minute < -(-end_ms // MINUTE_MS),
            t.CLASS.c.hidden == 0,
            t.CLASS.c.shown > 0,
        )
        with self._connect() as connection:
            minute = connection.execute(wanted).scalar()
        return None if minute is None else (int(minute) + 1) * MINUTE_MS

    def events(
        self, device: int, start_ms: int, end_ms: int, *, limit: int | None = None
    ) -> Iterator[Event]:
        """Yield transitions by onset, newest first, without holding them all."""
        wanted = (
            select(t.EVENT, t.BOOT.c.boot_id, t.MODEL.c.name.label("model_name"))
            .join(t.BOOT, t.BOOT.c.id == t.EVENT.c.boot)
            .join(t.MODEL, t.MODEL.c.id == t.EVENT.c.model)
            .where(
                t.EVENT.c.device == device,
                t.EVENT.c.placed_ms >= start_ms,
                t.EVENT.c.placed_ms < end_ms,
            )
            .order_by(t.EVENT.c.placed_ms.desc())
            .limit(limit)
        )
        with self._connect() as connection:
            for row in connection.execution_options(yield_per=2000).execute(wanted):
                yield _event(row)

    def health_history(
        self, device: int, start_ms: int, end_ms: int
    ) -> list[tuple[int, dict[str, Any]]]:
        """Return health payloads by minute, thinned to `MAX_POINTS`, oldest first."""
        first, last = start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS)
        width = bucket_width_min(last - first)
        wanted = (
            select(t.HEALTH.c.minute, t.HEALTH.c.body)
            .where(
                t.HEALTH.c.device == device,
                t.HEALTH.c.minute >= first,
                t.HEALTH.c.minute < last,
                t.HEALTH.c.minute % width == 0,
            )
            .order_by(t.HEALTH.c.minute)
        )
        with self._connect() as connection:
            return [
                (row.minute * MINUTE_MS, json.loads(row.body)) for row in connection.execute(wanted)
            ]

    def drift_rise(self, *, now_ms: int) -> dict[Address, float]:
        """Return how far each device's drift has risen: its last day's mean over its first week's.

        A device of which less than two weeks are known is left out: it has no level of its own yet.
        """
        now, found = now_ms // MINUTE_MS, {}
        for device in self.devices():
            with self._connect() as connection:
                first = connection.execute(
                    select(func.min(t.HEALTH.c.minute)).where(t.HEALTH.c.device == device.id)
                ).scalar()
            if first is None or now - first < 2 * WEEK_MIN:
                continue
            usual = self._mean_drift(device.id, first, first + WEEK_MIN)
            latest = self._mean_drift(device.id, now - DAY_MIN, now)
            if usual is not None and latest is not None:
                found[device.address] = latest - usual
        return found

    def _mean_drift(self, device: int, first: int, last: int) -> float | None:
        """Mean drift of some minutes, one reading an hour."""
        wanted = select(t.HEALTH.c.body).where(
            t.HEALTH.c.device == device,
            t.HEALTH.c.minute >= first,
            t.HEALTH.c.minute < last,
            t.HEALTH.c.minute % 60 == 0,
        )
        with self._connect() as connection:
            bodies = [json.loads(body) for body in connection.execute(wanted).scalars()]
        drifts = [body["drift"] for body in bodies if body.get("drift") is not None]
        return sum(drifts) / len(drifts) if drifts else None

    def notes(self, device: int, *, limit: int = 50) -> list[Note]:
        """Return what happened to a device, newest first."""
        wanted = (
            select(t.NOTE)
            .where(t.NOTE.c.device == device)
            .order_by(t.NOTE.c.at_ms.desc(), t.NOTE.c.id.desc())
            .limit(limit)
        )
        with self._connect() as connection:
            return [
                Note(at_ms=row.at_ms, what=row.what, detail=row.detail)
                for row in connection.execute(wanted)
            ]

    def problems(self) -> list[DeviceProblem]:
        """Return the counts of refused messages, latest first."""
        with self._connect() as connection:
            rows = connection.execute(
                select(t.PROBLEM, t.PROBLEM.c.count.label("times")).order_by(
                    t.PROBLEM.c.last_ms.desc()
                )
            )
            return [
                DeviceProblem(
                    address=Address(row.site, row.name),
                    problem=row.problem,
                    count=row.times,
                    last_ms=row.last_ms,
                    detail=row.detail,
                )
                for row in rows
            ]

    def missing(self, device: int) -> int:
        """Count events that a device numbered and that never came."""
        span = func.max(t.EVENT.c.seq) - func.min(t.EVENT.c.seq) + 1 - func.count()
        wanted = (
            select(span.label("gap"))
            .join(t.BOOT, t.BOOT.c.id == t.EVENT.c.boot)
            .where(t.BOOT.c.device == device)
            .group_by(t.EVENT.c.boot)
        )
        with self._connect() as connection:
            return sum(int(row.gap) for row in connection.execute(wanted))

    def count_events(self) -> int:
        """Count stored events."""
        with self._connect() as connection:
            return int(connection.execute(select(func.count()).select_from(t.EVENT)).scalar() or 0)

    def count_tallied(self) -> int:
        """Count the events that the sums by minute hold."""
        total = sum((func.coalesce(func.sum(t.TALLY.c[n]), 0) for n in EMOTIONS), literal(0))
        with self._connect() as connection:
            return int(connection.execute(select(total)).scalar() or 0)

    @property
    def kind(self) -> str:
        """Name the database's kind."""
        return {"postgresql": "PostgreSQL", "sqlite": "SQLite"}[self._engine.dialect.name]

    def workers(self) -> list[WorkerStatus]:
        """Return every worker that has ever written here."""
        with self._connect() as connection:
            rows = connection.execute(select(t.WORKER).order_by(t.WORKER.c.name))
            return [
                WorkerStatus(
                    name=row.name,
                    seen_ms=row.seen_ms,
                    connected=row.connected,
                    new=row.new,
                    doubled=row.doubled,
                    refused=row.refused,
                    waiting=row.waiting,
                    committed_ms=row.committed_ms,
                    lag_ms=row.lag_ms,
                    set_aside=row.set_aside,
                )
                for row in rows
            ]

    def lesson(self, device: int, number: int) -> Lesson | None:
        """Return one marked lesson of a device."""
        wanted = select(t.LESSON).where(t.LESSON.c.device == device, t.LESSON.c.id == number)
        with self._connect() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else _lesson(row)

    def info(self, device: int) -> dict[str, Any] | None:
        """Return what a device last said that it is."""
        wanted = select(t.DEVICE.c.info).where(t.DEVICE.c.id == device)
        with self._connect() as connection:
            found = connection.execute(wanted).scalar()
        return None if found is None else dict(json.loads(found))

    def annotations(self, device: int, author: str, start_ms: int, end_ms: int) -> list[Annotation]:
        """Return the notes that one account made on a class, oldest first; nobody else's."""
        wanted = (
            select(t.ANNOTATION)
            .where(
                t.ANNOTATION.c.device == device,
                t.ANNOTATION.c.author == author,
                t.ANNOTATION.c.at_ms >= start_ms,
                t.ANNOTATION.c.at_ms < end_ms,
            )
            .order_by(t.ANNOTATION.c.at_ms)
        )
        with self._connect() as connection:
            return [
                Annotation(id=row.id, at_ms=row.at_ms, text=row.text)
                for row in connection.execute(wanted)
            ]

    def lessons(self, device: int, *, limit: int = 20) -> list[Lesson]:
        """Return marked lessons, newest first."""
        wanted = (
            select(t.LESSON)
            .where(t.LESSON.c.device == device)
            .order_by(t.LESSON.c.started_ms.desc())
            .limit(limit)
        )
        with self._connect() as connection:
            return [_lesson(row) for row in connection.execute(wanted)]


def bucket_width_min(minutes: int) -> int:
    """Choose the narrowest bucket that keeps a span within `MAX_POINTS`."""
    fitting = (width for width in _WIDTHS_MIN if minutes <= width * MAX_POINTS)
    return next(fitting, _WIDTHS_MIN[-1])


def _device(row: Row[Any]) -> StoredDevice:
    return StoredDevice(
        id=row.id,
        address=Address(row.site, row.name),
        seen_ms=row.seen_ms,
        status=None if row.status is None else json.loads(row.status),
        info=None if row.info is None else json.loads(row.info),
        health=None if row.health is None else json.loads(row.health),
    )


def _lesson(row: Row[Any]) -> Lesson:
    return Lesson(id=row.id, title=row.title, started_ms=row.started_ms, ended_ms=row.ended_ms)


def _bucket(row: Row[Any], width_min: int) -> Bucket:
    states = tuple(int(getattr(row, f"s_{name}")) for name in STATES)
    total = sum(states)
    return Bucket(
        start_ms=int(row.bucket) * width_min * MINUTE_MS,
        states=tuple(count / total for count in states) if total else None,
        changes=tuple(int(getattr(row, f"c_{name}")) for name in EMOTIONS),
        minutes=int(row.minutes),
        faces=total / int(row.shown),
    )


def _joined(start_ms: int, windows: list[Window]) -> Bucket:
    """Add up windows that show something."""
    states = [sum(column) for column in zip(*(w.states or () for w in windows), strict=True)]
    changes = [sum(column) for column in zip(*(w.changes or () for w in windows), strict=True)]
    return Bucket(
        start_ms=start_ms,
        states=tuple(count / sum(states) for count in states),
        changes=tuple(changes),
        minutes=WINDOW_MIN * len(windows),
        faces=sum(states) / len(windows),
    )


def _event(row: Row[Any]) -> Event:
    return Event(
        placed_ms=row.placed_ms,
        received_ms=row.received_ms,
        event_id=f"{row.boot_id}:{row.seq}",
        camera=row.camera,
        track=row.track,
        before=STATES[row.before],
        after=STATES[row.after],
        confidence=row.confidence,
        dwell_s=row.dwell_s,
        delay_ms=row.delay_ms,
        latency_ms=row.latency_ms,
        clock_synced=not row.flags & t.FLAG_UNSYNCED,
        historical=bool(row.flags & t.FLAG_HISTORICAL),
        degraded=bool(row.flags & t.FLAG_DEGRADED),
        model=row.model_name,
    )

"""Forgetting: what is older than it may be is deleted, in small steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, exists, func, select

from dashboard.store import schema as t
from dashboard.store.audit import AuditLog
from dashboard.store.events import MINUTE_MS
from dashboard.store.read import Archive
from dashboard.store.registry import forget_device, grow_version
from dashboard.store.windows import release_windows
from emoshift.topics import Address

if TYPE_CHECKING:
    from sqlalchemy import Engine, Table

DAY_MS: Final = 24 * 3600 * 1000
_STEP: Final = 5000
_MODELS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How long what is kept, days.

    Attributes:
        events_days: Single transitions and device notes.
        minutes_days: Aggregates by minute, lessons, and teachers' notes and marks.
        audit_days: The audit log.
        devices_days: Devices that are silent, with all that is stored of them.
    """

    events_days: float
    minutes_days: float
    audit_days: float
    devices_days: float


def purge(engine: Engine, policy: RetentionPolicy, *, now_ms: int, min_faces: int) -> int:
    """Delete what is too old and return how many rows that were.

    Each step is a transaction of its own, so that ingest waits for no long one. Windows of time
    are released before the events go that they are made of, whether a viewer looks or not.

    Args:
        engine: The database.
        policy: How long what is kept.
        now_ms: The time, milliseconds since 1970.
        min_faces: Nothing is shown of a class below this many faces; a device may ask for more.
    """
    events_before = now_ms - round(policy.events_days * DAY_MS)
    minutes_before = (now_ms - round(policy.minutes_days * DAY_MS)) // MINUTE_MS
    gone = 0
    silent_before = now_ms - round(policy.devices_days * DAY_MS)
    with engine.connect() as connection:
        silent = connection.execute(select(t.DEVICE).where(t.DEVICE.c.seen_ms < silent_before))
        addresses = [Address(row.site, row.name) for row in silent]
    for address in addresses:
        gone += forget_device(engine, address, now_ms=now_ms)
    for stored in Archive(engine).devices():
        device, wish = stored.id, int((stored.info or {}).get("min_faces", 1))
        release_windows(engine, device, now_ms=now_ms, min_faces=max(min_faces, wish))
        gone += _forget_events(engine, device, events_before)
        for table in (t.TALLY, t.CLASS, t.CLASS_WINDOW, t.HEALTH):
            gone += _forget_minutes(engine, table, device, minutes_before)
    with engine.begin() as connection:
        gone += connection.execute(delete(t.NOTE).where(t.NOTE.c.at_ms < events_before)).rowcount
        old = t.LESSON.c.started_ms < minutes_before * MINUTE_MS
        gone += connection.execute(delete(t.LESSON).where(old)).rowcount
        noted = t.ANNOTATION.c.at_ms < minutes_before * MINUTE_MS
        gone += connection.execute(delete(t.ANNOTATION).where(noted)).rowcount
        marked = t.MARK.c.at_ms < minutes_before * MINUTE_MS
        gone += connection.execute(delete(t.MARK).where(marked)).rowcount
        old = t.DEAD_LETTER.c.received_ms < events_before
        gone += connection.execute(delete(t.DEAD_LETTER).where(old)).rowcount
    gone += _forget_numbers(engine)
    return gone + AuditLog(engine).forget(before_ms=now_ms - round(policy.audit_days * DAY_MS))


def _forget_numbers(engine: Engine) -> int:
    """Delete boots and models of which no event is left."""
    with engine.begin() as connection:
        boots = ~exists().where(t.EVENT.c.boot == t.BOOT.c.id)
        gone = connection.execute(delete(t.BOOT).where(boots)).rowcount
        models = connection.execute(select(func.count()).select_from(t.MODEL)).scalar() or 0
        if models > _MODELS:  # looking costs a walk over all events
            used = select(t.EVENT.c.model).distinct()
            unused = delete(t.MODEL).where(t.MODEL.c.id.not_in(used))
            gone += connection.execute(unused).rowcount
        if gone:
            grow_version(connection)
    return gone


def _forget_events(engine: Engine, device: int, before_ms: int) -> int:
    gone = 0
    oldest = (
        select(t.EVENT.c.boot, t.EVENT.c.seq)
        .where(t.EVENT.c.device == device, t.EVENT.c.placed_ms < before_ms)
        .limit(_STEP)
    )
    while True:
        with engine.begin() as connection:
            keys = connection.execute(oldest).all()
            for boot in sorted({row.boot for row in keys}):
                seqs = [row.seq for row in keys if row.boot == boot]
                connection.execute(
                    delete(t.EVENT).where(t.EVENT.c.boot == boot, t.EVENT.c.seq.in_(seqs))
                )
        gone += len(keys)
        if len(keys) < _STEP:
            return gone


def _forget_minutes(engine: Engine, table: Table, device: int, before: int) -> int:
    with engine.begin() as connection:
        statement = delete(table).where(table.c.device == device, table.c.minute < before)
        return connection.execute(statement).rowcount

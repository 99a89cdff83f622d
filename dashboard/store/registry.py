"""The device registry: which devices are believed, and which wait for somebody to approve them.

Anybody who can publish can invent names. A few devices are approved by themselves; then unknown
ones wait in a short list, and nothing of them is stored or shown until they are approved by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, text, tuple_, update

from dashboard.store import schema as t
from emoshift.errors import UsageError
from emoshift.topics import Address, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import ColumnElement, Connection, Engine, Row, Table

AUTOMATIC: Final = 100
"""So many devices are approved by themselves unless the settings say otherwise."""

WAITING: Final = 100
"""So many unknown devices wait at most."""

_QUIET_MS: Final = 10 * 60_000
"""A waiting device that was silent for so long makes room for another one."""

_TOUCH_MS: Final = 60_000
_LOCK: Final = 0x656D6F72
_PART: Final = 400
_STEP: Final = 5000
OF_DEVICE: Final = (
    *(t.TALLY, t.CLASS, t.CLASS_WINDOW, t.HEALTH, t.NOTE),
    *(t.LESSON, t.ANNOTATION, t.MARK, t.BOOT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One entry of the registry.

    Attributes:
        address: Which device.
        approved: Whether it is believed; it waits else.
        first_ms: Since when it is here.
        seen_ms: Its last message while it waited.
        by: Who approved it.
    """

    address: Address
    approved: bool
    first_ms: int
    seen_ms: int
    by: str


def registry_version(connection: Connection) -> int:
    """Return a number that grows whenever something is forgotten; caches of numbers end with it.

    It cannot grow until this transaction has ended.
    """
    wanted = select(t.REGISTRY.c.version)
    if connection.dialect.name == "postgresql":
        wanted = wanted.with_for_update(read=True)
    return int(connection.execute(wanted).scalar() or 0)


def admit(connection: Connection, seen: Mapping[Address, int], *, automatic: int) -> set[Address]:
    """Return which of these devices are approved; enrol or list those that are unknown.

    Args:
        connection: An open transaction.
        seen: Devices, each with the time of its latest message.
        automatic: How many devices may be approved by themselves, those of earlier included.
    """
    if not seen:
        return set()
    known = _find(connection, seen)
    approved = {address for address, one in known.items() if one.approved}
    waiting = [one for one in known.values() if not one.approved]
    for one in waiting:
        if seen[one.address] - one.seen_ms > _TOUCH_MS:
            connection.execute(
                update(t.ENROLMENT).where(_is(one.address)).values(seen_ms=seen[one.address])
            )
    unknown = sorted(seen.keys() - known.keys(), key=lambda address: (seen[address], address))
    if unknown:
        approved |= _enrol(connection, unknown, seen, automatic)
    return approved


def _enrol(
    connection: Connection, unknown: list[Address], seen: Mapping[Address, int], automatic: int
) -> set[Address]:
    """Approve as many as may be by themselves, let some wait, and forget the others at once."""
    if connection.dialect.name == "postgresql":  # another worker may be enrolling
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        known = _find(connection, unknown)
        found = {address for address, one in known.items() if one.approved}
        unknown = [address for address in unknown if address not in known]
    else:
        found = set()
    free = max(0, automatic - _count(connection, approved=True))
    now_ms = max(seen.values())
    _insert(connection, unknown[:free], seen, approved=True, by="automatic")
    rest = unknown[free:]
    if rest:
        old = ~t.ENROLMENT.c.approved & (t.ENROLMENT.c.seen_ms < now_ms - _QUIET_MS)
        if _count(connection, approved=False) + len(rest) > WAITING:
            connection.execute(delete(t.ENROLMENT).where(old))
        room = max(0, WAITING - _count(connection, approved=False))
        _insert(connection, rest[:room], seen, approved=False, by="")
    return found | set(unknown[:free])


def enrolments(engine: Engine, *, approved: bool | None = None) -> list[Enrolment]:
    """Return what is in the registry: all, those approved, or those that wait; by name."""
    wanted = select(t.ENROLMENT).order_by(t.ENROLMENT.c.site, t.ENROLMENT.c.name)
    if approved is not None:
        wanted = wanted.where(t.ENROLMENT.c.approved == approved)
    with engine.connect().execution_options(reads_only=True) as connection:
        return [_enrolment(row) for row in connection.execute(wanted)]


def approve(engine: Engine, address: Address, *, by: str, now_ms: int) -> None:
    """Believe a device from now on, whether it waits or was never seen."""
    with engine.begin() as connection:
        values = {"approved": True, "by": by[:64]}
        changed = connection.execute(update(t.ENROLMENT).where(_is(address)).values(**values))
        if changed.rowcount == 0:
            row = _row(address, now_ms, approved=True, by=by[:64])
            connection.execute(insert(t.ENROLMENT), row)


def forget_device(engine: Engine, address: Address, *, now_ms: int) -> int:
    """Forget a device and everything stored of it; return how many rows that were.

    If it goes on sending it waits to be approved again.

    Raises:
        UsageError: Nothing is known of it.
    """
    with engine.begin() as connection:
        known = connection.execute(select(t.ENROLMENT).where(_is(address))).first()
        at_device = (t.DEVICE.c.site == address.site) & (t.DEVICE.c.name == address.device)
        number = connection.execute(select(t.DEVICE.c.id).where(at_device)).scalar()
        if known is None and number is None:
            raise UsageError(f"{address}: no such device; run: edge-dashboard devices list")
        values = {"approved": False, "by": "", "seen_ms": now_ms}
        connection.execute(update(t.ENROLMENT).where(_is(address)).values(**values))
        at_problem = (t.PROBLEM.c.site == address.site) & (t.PROBLEM.c.name == address.device)
        connection.execute(delete(t.PROBLEM).where(at_problem))
        refused = t.DEAD_LETTER.c.topic.in_([address.topic(kind) for kind in Kind])
        connection.execute(delete(t.DEAD_LETTER).where(refused))
        grow_version(connection)
    if number is None:
        return 0
    gone = _delete_events(engine, number)
    with engine.begin() as connection:
        for table in OF_DEVICE:
            gone += connection.execute(delete(table).where(table.c.device == number)).rowcount
        connection.execute(delete(t.DEVICE).where(t.DEVICE.c.id == number))
        grow_version(connection)
    return gone


def grow_version(connection: Connection) -> None:
    """Say that numbers of devices, boots or models were forgotten."""
    connection.execute(update(t.REGISTRY).values(version=t.REGISTRY.c.version + 1))


def _delete_events(engine: Engine, device: int) -> int:
    """Delete in steps, so that ingest waits for no long transaction."""
    gone = 0
    wanted = select(t.EVENT.c.boot, t.EVENT.c.seq).where(t.EVENT.c.device == device).limit(_STEP)
    while True:
        with engine.begin() as connection:
            keys = connection.execute(wanted).all()
            for boot in sorted({row.boot for row in keys}):
                seqs = [row.seq for row in keys if row.boot == boot]
                connection.execute(
                    delete(t.EVENT).where(t.EVENT.c.boot == boot, t.EVENT.c.seq.in_(seqs))
                )
        gone += len(keys)
        if len(keys) < _STEP:
            return gone


def _find(connection: Connection, addresses: Iterable[Address]) -> dict[Address, Enrolment]:
    keys = [(address.site, address.device) for address in addresses]
    found = {}
    for start in range(0, len(keys), _PART):
        part = keys[start : start + _PART]
        key = tuple_(t.ENROLMENT.c.site, t.ENROLMENT.c.name)
        for row in connection.execute(select(t.ENROLMENT).where(key.in_(part))):
            one = _enrolment(row)
            found[one.address] = one
    return found


def _insert(
    connection: Connection,
    addresses: list[Address],
    seen: Mapping[Address, int],
    *,
    approved: bool,
    by: str,
) -> None:
    if addresses:
        rows = [_row(one, seen[one], approved=approved, by=by) for one in addresses]
        connection.execute(insert(t.ENROLMENT), rows)


def _row(address: Address, now_ms: int, *, approved: bool, by: str) -> dict[str, object]:
    return {
        "site": address.site,
        "name": address.device,
        "approved": approved,
        "first_ms": now_ms,
        "seen_ms": now_ms,
        "by": by,
    }


def _count(connection: Connection, *, approved: bool) -> int:
    table: Table = t.ENROLMENT
    wanted = select(func.count()).select_from(table).where(table.c.approved == approved)
    return int(connection.execute(wanted).scalar() or 0)


def _is(address: Address) -> ColumnElement[bool]:
    return (t.ENROLMENT.c.site == address.site) & (t.ENROLMENT.c.name == address.device)


def _enrolment(row: Row[Any]) -> Enrolment:
    return Enrolment(
        address=Address(row.site, row.name),
        approved=row.approved,
        first_ms=row.first_ms,
        seen_ms=row.seen_ms,
        by=row.by,
    )

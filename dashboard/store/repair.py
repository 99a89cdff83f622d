"""Undoing what a stranger has sent under a device's name."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from dashboard.store import schema as t
from dashboard.store.events import MINUTE_MS
from dashboard.store.registry import grow_version
from emoshift.emotions import EMOTIONS
from emoshift.errors import UsageError
from emoshift.subscriber import FAR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Engine

    from emoshift.topics import Address


def repair_device(engine: Engine, address: Address, *, boots: Iterable[str] = ()) -> int:
    """Undo what a stranger has sent under a device's name; return how many events went with it.

    The status that is believed is forgotten, so that the next one counts whatever its number.
    Events with numbers that no device reaches are deleted, and so are boot ids of this device that
    another one has claimed, with what came under them.

    Args:
        engine: The database.
        address: Which device.
        boots: Boot ids that belong to it.

    Raises:
        UsageError: Nothing is known of it, or of a boot id.
    """
    with engine.begin() as connection:
        at_device = (t.DEVICE.c.site == address.site) & (t.DEVICE.c.name == address.device)
        number = connection.execute(select(t.DEVICE.c.id).where(at_device)).scalar()
        if number is None:
            raise UsageError(f"{address}: no such device; run: edge-dashboard devices list")
        connection.execute(update(t.DEVICE).where(at_device).values(status=None))
        gone = 0
        for boot_id in boots:
            claimed = connection.execute(
                select(t.BOOT.c.id).where(t.BOOT.c.boot_id == boot_id)
            ).scalar()
            if claimed is None:
                raise UsageError(f"{boot_id}: no event of this boot id is stored")
            gone += _delete_from(connection, claimed, 0)
            connection.execute(delete(t.BOOT).where(t.BOOT.c.id == claimed))
        own = select(t.BOOT.c.id).where(t.BOOT.c.device == number)
        for boot in connection.execute(own).scalars().all():
            if (first := _first_far(connection, boot)) is not None:
                gone += _delete_from(connection, boot, first)
        grow_version(connection)
    return gone


def _first_far(connection: Connection, boot: int) -> int | None:
    """Return the lowest number of a boot that follows no other one within reach."""
    before = func.lag(t.EVENT.c.seq).over(order_by=t.EVENT.c.seq)
    numbers = select(t.EVENT.c.seq, before.label("before")).where(t.EVENT.c.boot == boot).subquery()
    leap = select(func.min(numbers.c.seq)).where(numbers.c.seq - numbers.c.before > FAR)
    found = connection.execute(leap).scalar()
    return None if found is None else int(found)


def _delete_from(connection: Connection, boot: int, first: int) -> int:
    """Delete a boot's events from a number on, and take them out of the sums by minute."""
    theirs = (t.EVENT.c.boot == boot) & (t.EVENT.c.seq >= first)
    wanted = select(t.EVENT.c.device, t.EVENT.c.placed_ms, t.EVENT.c.after).where(theirs)
    counts = Counter(
        (row.device, row.placed_ms // MINUTE_MS, EMOTIONS[row.after])
        for row in connection.execute(wanted)
    )
    for (device, at, name), count in sorted(counts.items()):
        place = (t.TALLY.c.device == device) & (t.TALLY.c.minute == at)
        values = {name: t.TALLY.c[name] - count}
        connection.execute(update(t.TALLY).where(place).values(**values))
    return connection.execute(delete(t.EVENT).where(theirs)).rowcount

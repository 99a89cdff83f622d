"""Events that a device says it sent and that are not in the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from dashboard.store import schema as t
from emoshift.messages import Replay
from emoshift.number_ranges import NumberRanges

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from emoshift.messages import BootNumbers, Ledger
    from emoshift.topics import Address

RANGES: Final = 20
"""The most ranges of missing numbers that are asked for at a time."""


def missing_events(engine: Engine, address: Address, ledger: Ledger) -> list[Replay]:
    """Return what to ask a device for: what it still keeps, has sent, and is not stored."""
    lost: dict[str, NumberRanges] = {}
    for loss in ledger.lost:
        lost.setdefault(loss.boot_id, NumberRanges()).add(loss.first, loss.last)
    wanted: list[Replay] = []
    with engine.connect().execution_options(reads_only=True) as connection:
        for numbers in reversed(ledger.boots):
            gone = lost.get(numbers.boot_id, NumberRanges())
            for first, last in _missing(connection, numbers):
                wanted += [
                    Replay(device=address.device, boot_id=numbers.boot_id, first=a, last=b)
                    for a, b in gone.missing(first, last)
                ]
                if len(wanted) >= RANGES:
                    return wanted[:RANGES]
    return wanted


def _missing(connection: Connection, numbers: BootNumbers) -> list[tuple[int, int]]:
    first, last = numbers.kept_from, numbers.settled
    if first > last:
        return []
    boot = select(t.BOOT.c.id).where(t.BOOT.c.boot_id == numbers.boot_id).scalar_subquery()
    stored = (t.EVENT.c.boot == boot, t.EVENT.c.seq.between(first, last))
    count = connection.execute(select(func.count()).select_from(t.EVENT).where(*stored)).scalar()
    if count == last - first + 1:
        return []
    found = NumberRanges()
    for seq in connection.execute(select(t.EVENT.c.seq).where(*stored)).scalars():
        found.add(seq)
    return found.missing(first, last)

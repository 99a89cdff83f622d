"""Fills a database with a term's history at once, to measure what reading it costs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert

from dashboard.store import schema as t
from dashboard.store.events import MINUTE_MS
from emoshift.emotions import EMOTIONS, STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

DAY_MIN: Final = 24 * 60
LESSONS_MIN: Final = 6 * 60
_STEP: Final = 20_000


def fill_term(
    engine: Engine, *, events: int, rooms: int, weeks: int, end_ms: int, seed: int
) -> None:
    """Write ``events`` transitions of school days, six hours each, that end at ``end_ms``."""
    chance = random.Random(seed)
    end = end_ms // MINUTE_MS
    days = [end - day * DAY_MIN for day in range(weeks * 7) if day % 7 < 5]
    minutes = sorted(start - m for start in days for m in range(LESSONS_MIN))
    per_room = events // rooms
    with engine.begin() as connection:
        connection.execute(insert(t.MODEL), [{"id": 1, "name": "simulated-1"}])
    for room in range(1, rooms + 1):
        with engine.begin() as connection:
            _name_room(connection, room, end_ms)
            counts: dict[int, list[int]] = {}
            for part in _parts(_events(chance, room, minutes, per_room, counts)):
                connection.execute(insert(t.EVENT), part)
            connection.execute(insert(t.TALLY), [_tally(room, m, c) for m, c in counts.items()])
            connection.execute(insert(t.CLASS), [_class(chance, room, m) for m in minutes])


def _name_room(connection: Any, room: int, now_ms: int) -> None:
    device = {"id": room, "site": "school-1", "name": f"room-{100 + room}"}
    connection.execute(insert(t.DEVICE), [{**device, "first_seen_ms": 0, "seen_ms": now_ms}])
    boot = {"id": room, "boot_id": f"{room:032x}", "device": room}
    connection.execute(insert(t.BOOT), [boot])


def _events(
    chance: random.Random, room: int, minutes: list[int], count: int, counts: dict[int, list[int]]
) -> Iterator[dict[str, Any]]:
    for seq in range(1, count + 1):
        minute = minutes[(seq - 1) * len(minutes) // count]
        placed_ms = minute * MINUTE_MS + seq % 60 * 1000
        before = chance.randrange(7)
        after = (before + 1 + chance.randrange(6)) % 7
        counts.setdefault(minute, [0] * 7)[after] += 1
        yield {
            "boot": room,
            "seq": seq,
            "device": room,
            "placed_ms": placed_ms,
            "received_ms": placed_ms + 500,
            "camera": "camera",
            "track": f"{seq:012x}",
            "before": before,
            "after": after,
            "confidence": 0.9,
            "dwell_s": 12.5,
            "delay_ms": 400,
            "latency_ms": 45,
            "flags": 0,
            "model": 1,
        }


def _tally(room: int, minute: int, counts: list[int]) -> dict[str, int]:
    return {"device": room, "minute": minute, **dict(zip(EMOTIONS, counts, strict=True))}


def _class(chance: random.Random, room: int, minute: int) -> dict[str, int]:
    states = [chance.randrange(3, 9) * 30 for _ in STATES]
    row = {"device": room, "minute": minute, "at_ms": minute * MINUTE_MS, "shown": 30, "hidden": 0}
    return {**row, **dict(zip(STATES, states, strict=True))}


def _parts(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    for row in rows:
        part.append(row)
        if len(part) == _STEP:
            yield part
            part = []
    if part:
        yield part

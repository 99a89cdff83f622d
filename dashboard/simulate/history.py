"""Gives simulated classrooms a past, so that a demonstration has something to compare with."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert

from dashboard.store import schema as t
from dashboard.store.batch import gather
from dashboard.store.events import MINUTE_MS
from dashboard.store.read import Archive
from dashboard.store.write import HistoryWriter
from emoshift.messages import Message, read_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine

    from dashboard.simulate.classroom import Classroom

_DAY_MS: Final = 24 * 3600 * 1000
_SUMMARY_MS: Final = 15_000
_LESSONS: Final = (
    ("Mathematics", 2 * _DAY_MS, 45),
    ("Biology", _DAY_MS + 50 * MINUTE_MS, 45),
    ("Mathematics", _DAY_MS, 45),
    ("Mathematics", 40 * MINUTE_MS, None),
)
"""What was taught, how long ago it began, and how many minutes it took."""


def write_past(engine: Engine, rooms: Sequence[Classroom], *, now_ms: int, seed: int) -> None:
    """Write a few lessons of every room, the last of them still running."""
    history = HistoryWriter(engine, automatic=len(rooms))
    chance = random.Random(seed)
    for _, ago_ms, minutes in _LESSONS:
        start_ms = now_ms - ago_ms
        end_ms = now_ms if minutes is None else start_ms + minutes * MINUTE_MS
        for room in rooms:
            history.write(gather(_lesson(room, start_ms, end_ms, chance)))
    devices = {device.address: device.id for device in Archive(engine).devices()}
    rows = [
        {
            "device": devices[room.address],
            "title": title,
            "started_ms": now_ms - ago_ms,
            "ended_ms": None if minutes is None else now_ms - ago_ms + minutes * MINUTE_MS,
            "marked_by": "demo",
        }
        for room in rooms
        for title, ago_ms, minutes in _LESSONS
    ]
    with engine.begin() as connection:
        connection.execute(insert(t.LESSON), rows)


def _lesson(
    room: Classroom, start_ms: int, end_ms: int, chance: random.Random
) -> Iterator[Message]:
    next_summary_ms = next_health_ms = at_ms = start_ms
    while at_ms < end_ms:
        at_ms += round(chance.expovariate(1 / 6000))
        messages = [room.change(at_ms)]
        if at_ms >= next_summary_ms:
            next_summary_ms = at_ms + _SUMMARY_MS
            messages.append(room.summary(at_ms))
        if at_ms >= next_health_ms:
            next_health_ms = at_ms + MINUTE_MS
            messages.append(room.health(at_ms))
        for message in messages:
            yield read_message(message.topic, message.payload, received_ms=at_ms)

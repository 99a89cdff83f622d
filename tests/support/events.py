"""Changes of emotion as the vision process decides them, told apart by their track."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from edge.outbox.event import TransitionEvent
from emoshift.emotions import Emotion

CHANGE: Final = TransitionEvent(
    device="room-12",
    camera="front",
    model="default-1",
    track="kx3q",
    before=Emotion.NEUTRAL,
    after=Emotion.HAPPY,
    confidence=0.9,
    onset=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    decided=datetime(2026, 11, 21, 9, 30, 1, tzinfo=UTC),
    dwell_s=4.0,
    latency_ms=20,
    clock_synced=True,
    degraded=False,
)


def changes(count: int, start: int = 0) -> list[TransitionEvent]:
    """Return so many changes, of tracks ``t<start>``, ``t<start + 1>`` ..."""
    return [replace(CHANGE, track=f"t{start + i}") for i in range(count)]

"""What subscribers are told of a transition: schema ``emoshift.transition/1``."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from edge.values import UNKNOWN, Emotion, Transition, state_label

if TYPE_CHECKING:
    from emoshift.clock import ClockReading

SCHEMA: Final = "emoshift.transition/1"

_BOOT_ID: Final = re.compile(r"[0-9a-f]{32}")
_MAX_SEQ: Final = 2**53 - 1  # the largest number that every JSON reader keeps exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What all events of one vision process have in common.

    Attributes:
        device: Name of the device.
        camera: Name of the camera.
        model: Id of the bundle in use.
    """

    device: str
    camera: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a face's emotion, as it is told: dates instead of capture times.

    Attributes:
        device, camera, model: See `Source`.
        track: The random label of the face's track.
        before: The emotion that ended; ``None`` is unknown.
        after: The emotion that began.
        confidence: Calibrated probability of ``after``, 0 to 1, three decimals.
        onset, decided: When it began and when it was decided, UTC, whole milliseconds.
        dwell_s: How long ``before`` had lasted, seconds, to the hundredth.
        latency_ms: From the capture of the deciding frame to the decision.
        clock_synced: Whether a time source had set the clock that the dates come from.
        degraded: Whether a reduced ensemble gave any of the evidence.
    """

    device: str
    camera: str
    model: str
    track: str
    before: Emotion | None
    after: Emotion
    confidence: float
    onset: datetime
    decided: datetime
    dwell_s: float
    latency_ms: int
    clock_synced: bool
    degraded: bool

    def moved(self, by_s: float) -> Change:
        """Return the same change with dates of a clock that has been set since."""
        by = timedelta(milliseconds=round(by_s * 1000))
        return replace(self, onset=self.onset + by, decided=self.decided + by, clock_synced=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change with the number that the outbox gave it when it was stored.

    Attributes:
        boot_id: 32 hexadecimal digits; a new one for every boot and every new outbox.
        seq: 1, 2, 3, ... without a gap within a boot id; a gap is an event that was dropped.
        change: What happened.
        historical: Whether it is told long after it happened, so that nothing should be switched
            on or off because of it; set by the publisher.
    """

    boot_id: str
    seq: int
    change: Change
    historical: bool = False

    @property
    def event_id(self) -> str:
        """The same for every copy of this event that a subscriber may get."""
        return f"{self.boot_id}:{self.seq}"


def describe_change(
    transition: Transition, *, source: Source, clock: ClockReading, latency_s: float
) -> Change:
    """Turn a decided transition into what is told of it.

    Args:
        transition: The decision, in capture times.
        source: What it came from.
        clock: A reading of the clock that the capture times are told in.
        latency_s: From the capture of the deciding frame until now, seconds.
    """
    return Change(
        device=source.device,
        camera=source.camera,
        model=source.model,
        track=transition.label,
        before=transition.before,
        after=transition.after,
        confidence=round(min(max(transition.confidence, 0.0), 1.0), 3),
        onset=clock.date(transition.onset_s),
        decided=clock.date(transition.decided_s),
        dwell_s=round(max(transition.dwell_s, 0.0), 2),
        latency_ms=max(0, round(latency_s * 1000)),
        clock_synced=clock.synced,
        degraded=transition.degraded,
    )


def to_json(event: Event) -> str:
    """Write the message, compact, keys in the order of the contract."""
    change = event.change
    return json.dumps(
        {
            "schema": SCHEMA,
            "event_id": event.event_id,
            "boot_id": event.boot_id,
            "seq": event.seq,
            "device": change.device,
            "camera": change.camera,
            "track": change.track,
            "from": state_label(change.before),
            "to": change.after.label,
            "confidence": change.confidence,
            "onset": format_date(change.onset),
            "decided": format_date(change.decided),
            "dwell_s": change.dwell_s,
            "latency_ms": change.latency_ms,
            "clock_synced": change.clock_synced,
            "historical": event.historical,
            "degraded": change.degraded,
            "model": change.model,
        },
        separators=(",", ":"),
        allow_nan=False,
    )


def from_json(text: str | bytes) -> Event:
    """Read a message; keys that are not known are ignored.

    Raises:
        ValueError: The text is not such a message; says which key is wrong and how.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as why:
        raise ValueError(f"not JSON: {why}") from None
    if not isinstance(data, dict):
        raise ValueError(  # noqa: TRY004 - the message is wrong, not the program
            f"found a {type(data).__name__}, expected an object"
        )
    read = _Reader(data)
    if (schema := read.text("schema")) != SCHEMA:
        raise ValueError(f"schema: found {schema!r}, expected {SCHEMA!r}")
    boot_id, before = read.text("boot_id"), read.text("from")
    if not _BOOT_ID.fullmatch(boot_id):
        raise ValueError(f"boot_id: found {boot_id!r}, expected 32 hexadecimal digits")
    event = Event(
        boot_id=boot_id,
        seq=int(read.number("seq", low=1, high=_MAX_SEQ, whole=True)),
        historical=read.flag("historical"),
        change=Change(
            device=read.text("device"),
            camera=read.text("camera"),
            model=read.text("model"),
            track=read.text("track"),
            before=None if before == UNKNOWN else Emotion.from_label(before),
            after=Emotion.from_label(read.text("to")),
            confidence=read.number("confidence", low=0, high=1),
            onset=read.date("onset"),
            decided=read.date("decided"),
            dwell_s=read.number("dwell_s", low=0),
            latency_ms=int(read.number("latency_ms", low=0, whole=True)),
            clock_synced=read.flag("clock_synced"),
            degraded=read.flag("degraded"),
        ),
    )
    if read.text("event_id") != event.event_id:
        raise ValueError("event_id: does not join boot_id and seq")
    return event


def format_date(date: datetime) -> str:
    """Write a date as RFC 3339 in UTC with milliseconds, such as ``2026-11-21T09:30:00.250Z``."""
    return date.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Reader:
    """Takes typed values out of an object that somebody else wrote."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def _get(self, key: str) -> object:
        if key not in self._data:
            raise ValueError(f"{key}: missing")
        return self._data[key]

    def text(self, key: str) -> str:
        if not isinstance(value := self._get(key), str) or len(value) > 256:
            raise ValueError(f"{key}: expected a short text")
        return value

    def flag(self, key: str) -> bool:
        if not isinstance(value := self._get(key), bool):
            raise ValueError(  # noqa: TRY004 - the message is wrong, not the program
                f"{key}: found {value!r}, expected true or false"
            )
        return value

    def number(
        self, key: str, *, low: float, high: float = float(_MAX_SEQ), whole: bool = False
    ) -> float:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(  # noqa: TRY004 - the message is wrong, not the program
                f"{key}: expected a number"
            )
        if whole and not isinstance(value, int):
            raise ValueError(f"{key}: found {value!r}, expected a whole number")
        if not low <= value <= high or not math.isfinite(value):
            raise ValueError(f"{key}: found {value!r}, expected {low} to {high}")
        return value

    def date(self, key: str) -> datetime:
        try:
            date = datetime.fromisoformat(self.text(key))
        except ValueError:
            date = None
        if date is None or date.tzinfo is None:
            raise ValueError(f"{key}: found {self._data[key]!r}, expected an RFC 3339 date")
        return date.astimezone(UTC)

"""A decided transition as it is stored and sent: dates instead of capture times."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from emoshift.emotions import UNKNOWN, Emotion, state_label
from emoshift.messages import Transition

if TYPE_CHECKING:
    from typing import Self

    from edge import values
    from emoshift.clock import ClockReading


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
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
class TransitionEvent:
    """One change of a face's emotion, before the outbox has given it a number.

    Attributes:
        device, camera, model: See `EventSource`.
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

    def to_json(self) -> str:
        """Write it down for another process."""
        values = {
            **asdict(self),
            "before": state_label(self.before),
            "after": self.after.label,
            "onset": self.onset.isoformat(),
            "decided": self.decided.isoformat(),
        }
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: It did not write this.
        """
        values = json.loads(text)
        before = values["before"]
        return cls(
            **{
                **values,
                "before": None if before == UNKNOWN else Emotion.from_label(before),
                "after": Emotion.from_label(values["after"]),
                "onset": datetime.fromisoformat(values["onset"]),
                "decided": datetime.fromisoformat(values["decided"]),
            }
        )

    def numbered(self, boot_id: str, seq: int) -> Transition:
        """Return the message, numbered ``seq`` under ``boot_id``."""
        return Transition(
            event_id=f"{boot_id}:{seq}",
            boot_id=boot_id,
            seq=seq,
            device=self.device,
            camera=self.camera,
            track=self.track,
            before=state_label(self.before),  # type: ignore[arg-type] # checked by the model
            after=self.after.label,  # type: ignore[arg-type] # likewise
            confidence=self.confidence,
            onset=self.onset,
            decided=self.decided,
            dwell_s=self.dwell_s,
            latency_ms=self.latency_ms,
            clock_synced=self.clock_synced,
            historical=False,
            degraded=self.degraded,
            model=self.model,
        )


def describe_change(
    transition: values.Transition, *, source: EventSource, clock: ClockReading, latency_s: float
) -> TransitionEvent:
    """Turn a decided transition into an event.

    Args:
        transition: The decision, in capture times.
        source: What it came from.
        clock: A reading of the clock that the capture times are measured with.
        latency_s: From the capture of the deciding frame until now, seconds.
    """
    return TransitionEvent(
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

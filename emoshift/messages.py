"""The messages besides events: status, info, class summary and health, and their schemas."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from edge.values import Emotion, state_label
from emoshift.events import format_date

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

SCHEMAS: Final = ("transition", "status", "info", "class", "health")


class Presence(StrEnum):
    """Whether the device is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Whether the device is there; ``offline`` is its last will.

    Attributes:
        device: Name of the device.
        state: ``stopped`` is a clean stop, ``offline`` a lost link.
        session: Grows with every connection; a status with a smaller number than one already seen
            is late and means nothing.
        instance: Tells two devices with the same name apart.
        run: Tells two runs of the publisher apart.
        protocol: The MQTT version in use, ``5`` or ``3.1.1``.
    """

    device: str
    state: Presence
    session: int
    instance: str
    run: str
    protocol: str

    def to_json(self) -> str:
        """Write the message."""
        return _dump(
            "status",
            device=self.device,
            state=self.state.value,
            session=self.session,
            instance=self.instance,
            run=self.run,
            protocol=self.protocol,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What the device is.

    Attributes:
        device, camera: Their names.
        software: Version of this package.
        model: Id of the bundle in use.
        isolation: What keeps the vision process off the network: ``namespace``, ``seccomp``
            or ``none``.
        min_faces: The class summary is suppressed below this many faces.
        face_finder: The back end that finds the faces.
        face_finder_reason: Why it was taken, and what it cannot do here.
    """

    device: str
    camera: str
    software: str
    model: str
    isolation: str
    min_faces: int
    face_finder: str
    face_finder_reason: str

    def to_json(self) -> str:
        """Write the message."""
        return _dump(
            "info",
            device=self.device,
            camera=self.camera,
            software=self.software,
            model=self.model,
            isolation=self.isolation,
            min_faces=self.min_faces,
            face_finder=self.face_finder,
            face_finder_reason=self.face_finder_reason[:256],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSummary:
    """How many faces are in which state; empty below the smallest group allowed.

    Attributes:
        device, camera: Their names.
        at: When it was true.
        faces: How many faces were counted; ``None`` when suppressed.
        states: Faces per state, every state named, ``None`` (unknown) included; ``None`` when
            suppressed.
    """

    device: str
    camera: str
    at: datetime
    faces: int | None
    states: Mapping[Emotion | None, int] | None

    def to_json(self) -> str:
        """Write the message."""
        states = self.states
        return _dump(
            "class",
            device=self.device,
            camera=self.camera,
            at=format_date(self.at),
            suppressed=states is None,
            faces=self.faces,
            states=None
            if states is None
            else {state_label(state): states.get(state, 0) for state in (*Emotion, None)},
        )


def summarise_class(
    states: Mapping[Emotion | None, int],
    *,
    device: str,
    camera: str,
    at: datetime,
    min_faces: int,
) -> ClassSummary:
    """Count a class, or say nothing of it where it is smaller than ``min_faces``."""
    faces = sum(states.values())
    told = faces >= min_faces
    return ClassSummary(
        device=device,
        camera=camera,
        at=at,
        faces=faces if told else None,
        states=dict(states) if told else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Latency of one stage over the last interval, milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the device is doing.

    Attributes:
        device, camera: Their names.
        at: When it was measured.
        camera_state: ``streaming``, ``waiting`` (no picture yet) or ``lost``.
        fps: Frames processed a second over the last interval.
        frames: Frames processed since the start.
        dropped_frames: Frames since the start that were replaced by newer ones.
        faces: Faces in the last frame.
        stages: Latency per stage; ``total`` is capture to outbox.
        outbox_depth: Events that no broker has acknowledged.
        outbox_dropped: Events given up since the outbox was made, because it was full or old.
        outbox_state: ``ready``, ``full`` (no space on the disk) or ``failing``.
        level: Degradation level, 0 is the full quality.
        temperature_c: Of the processor, where it can be read.
        throttled: Whether the chip slows itself down, where it can be read.
        drift: Distance of the input from the bundle's baseline, the larger of the next two.
        drift_blendshapes: Population stability index of the blendshapes (mean over the recurrent
            member's channels); ``None`` without a baseline or while too few faces were seen.
        drift_confidence: The same of the ensemble's largest probability.
        abstained: Share of predictions over the last interval after which no emotion was believed
            enough to decide by, 0 to 1.
        brightness, sharpness: Of the newest picture, see `edge.health.image_quality`.
        faces_too_small: Faces of the last frame that are read by the picture networks alone.
        landmarks_age_s: Median and 95th percentile of the age of the faces' landmarks, seconds.
    """

    device: str
    camera: str
    at: datetime
    camera_state: str
    fps: float
    frames: int
    dropped_frames: int
    faces: int
    outbox_depth: int
    outbox_dropped: int
    outbox_state: str
    stages: Mapping[str, Percentiles] = field(default_factory=dict)
    level: int = 0
    temperature_c: float | None = None
    throttled: bool | None = None
    drift: float | None = None
    abstained: float | None = None
    faces_too_small: int = 0
    landmarks_age_s: tuple[float, float] | None = None
    drift_blendshapes: float | None = None
    drift_confidence: float | None = None
    brightness: float | None = None
    sharpness: float | None = None

    def to_json(self) -> str:
        """Write the message."""
        return _dump(
            "health",
            device=self.device,
            camera=self.camera,
            at=format_date(self.at),
            camera_state=self.camera_state,
            fps=round(self.fps, 2),
            frames=self.frames,
            dropped_frames=self.dropped_frames,
            faces=self.faces,
            stages={
                name: {
                    "p50_ms": round(stage.p50_ms, 2),
                    "p95_ms": round(stage.p95_ms, 2),
                    "p99_ms": round(stage.p99_ms, 2),
                }
                for name, stage in self.stages.items()
            },
            outbox_depth=self.outbox_depth,
            outbox_dropped=self.outbox_dropped,
            outbox_state=self.outbox_state,
            level=self.level,
            temperature_c=_rounded(self.temperature_c, 1),
            throttled=self.throttled,
            drift=_rounded(self.drift, 3),
            abstained=_rounded(self.abstained, 3),
            faces_too_small=self.faces_too_small,
            landmarks_age_s=None
            if self.landmarks_age_s is None
            else {
                "p50": round(self.landmarks_age_s[0], 3),
                "p95": round(self.landmarks_age_s[1], 3),
            },
            drift_blendshapes=_rounded(self.drift_blendshapes, 3),
            drift_confidence=_rounded(self.drift_confidence, 3),
            brightness=_rounded(self.brightness, 3),
            sharpness=_rounded(self.sharpness, 1),
        )


def read_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind of message, one of `SCHEMAS`."""
    if kind not in SCHEMAS:
        raise ValueError(f"unknown message {kind!r}; the messages are {', '.join(SCHEMAS)}")
    text = resources.files("edge").joinpath("schemas", f"{kind}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _dump(kind: str, /, **content: object) -> str:
    body = {"schema": f"emoshift.{kind}/1", **content}
    return json.dumps(body, separators=(",", ":"), allow_nan=False)

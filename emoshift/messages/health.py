"""How a device is doing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from emoshift.messages.body import MessageBody, Part
from emoshift.messages.fields import (
    STAGE_PATTERN,
    CameraState,
    Count,
    Date,
    Faces,
    Identifier,
    Measure,
    Milliseconds,
    OutboxState,
    Share,
    StageName,
    rounded,
)


class Percentiles(Part):
    """Latency of one stage over the last interval, milliseconds.

    Attributes:
        p50_ms, p95_ms, p99_ms: Percentiles over the last interval.
        count: How often it was measured since the start; null where that is not known.
        sum_ms: All of these together, milliseconds; likewise.
    """

    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    count: Count | None = None
    sum_ms: Annotated[float, Field(ge=0, le=1e15), rounded(2)] | None = None


class Age(Part):
    """Median and 95th percentile of an age, seconds."""

    p50: Measure
    p95: Measure


class Health(MessageBody):
    """How the device is doing.

    Attributes:
        device: Name of the device.
        camera: Name of the camera.
        at: When it was measured.
        camera_state: ``waiting`` is no image yet, ``lost`` no image any more.
        fps: Frames processed a second over the last interval.
        frames: Frames processed since the start.
        dropped_frames: Frames since the start that were replaced by newer ones.
        faces: Faces in the last frame; null where no single face may be counted.
        stages: Latency per stage over the last interval; ``total`` is capture to outbox. ``count``
            and ``sum_ms`` go on since the start, and are not sent by older devices.
        outbox_depth: Events that no broker has acknowledged.
        outbox_dropped: Events dropped because the outbox was full or they were too old.
        outbox_state: ``full`` is no space on the disk.
        outbox_damaged: Events that were damaged on the disk. Not sent by older devices.
        outbox_set_aside: Events that the broker refused again and again, see `edge outbox`. Not
            sent by older devices.
        level: Degradation level; 0 is full quality.
        temperature_c: Of the processor, degrees Celsius; null where it cannot be read.
        throttled: Whether the chip slows itself down; null where that cannot be read.
        drift: Population stability index of the input against the bundle's baseline, the larger
            of ``drift_blendshapes`` and ``drift_confidence``; null without a baseline or while too
            few faces were seen.
        abstained: Share of predictions over the last interval after which no emotion was certain
            enough to decide by.
        faces_too_small: Faces of the last frame that are too small for landmarks and are read by
            the image networks alone.
        landmarks_age_s: How old the landmarks of the faces are, seconds.
        drift_blendshapes: Population stability index of the blendshapes, mean over the channels.
            Not sent by older devices.
        drift_confidence: Population stability index of the ensemble's largest probability. Not
            sent by older devices.
        brightness: Mean grey level of the newest image, 0 (black) to 1. Not sent by older devices.
        sharpness: Variance of the Laplacian of the newest image at 320 pixels wide; low when the
            camera is covered or out of focus. Not sent by older devices.
        interval_s: Time between two of these messages, seconds. Not sent by older devices.
        advice: ``calibrate``: calibrate this room again, drift or abstention has risen over weeks.
            Null, or left out by older devices, where nothing is to be done.
    """

    schema_: Literal["emoshift.health/1"] = Field(
        default="emoshift.health/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    camera: Identifier
    at: Date
    camera_state: CameraState
    fps: Annotated[float, Field(ge=0, le=1e6), rounded(2)]
    frames: Count
    dropped_frames: Count
    faces: Faces | None
    stages: Annotated[
        dict[StageName, Percentiles],
        Field(max_length=32, json_schema_extra={"propertyNames": {"pattern": STAGE_PATTERN}}),
    ]
    outbox_depth: Count
    outbox_dropped: Count
    outbox_state: OutboxState
    outbox_damaged: Count = 0
    outbox_set_aside: Count = 0
    level: Annotated[int, Field(ge=0, le=100)] = 0
    temperature_c: Annotated[float, Field(ge=-273.15, le=1000), rounded(1)] | None = None
    throttled: bool | None = None
    drift: Measure | None = None
    abstained: Share | None = Field(
        default=None, validation_alias=AliasChoices("abstained", "abstention")
    )
    faces_too_small: Faces = 0
    landmarks_age_s: Age | None = None
    drift_blendshapes: Measure | None = None
    drift_confidence: Measure | None = None
    brightness: Share | None = None
    sharpness: Annotated[float, Field(ge=0, le=1e9), rounded(1)] | None = None
    interval_s: Annotated[float, Field(ge=1, le=86_400), rounded(1)] = 30.0
    advice: Literal["calibrate"] | None = None

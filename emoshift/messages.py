"""The MQTT contract: every message as a model that writes, reads and checks it.

The JSON Schemas in ``emoshift/schemas`` and the tables of docs/mqtt.md are made from these models.
Keys that a model does not know are ignored, so that a later version may add some.

```python
message = read_message(topic, payload)  # a Message, or MessageError
event = Transition.from_json(payload)
```
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from emoshift.emotions import EMOTIONS, STATES, Emotion, state_label
from emoshift.topics import ID_PATTERN, Address, Kind, read_topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.json_schema import JsonSchemaValue

MAX_PAYLOAD_BYTES: Final = 16 * 1024
"""No message of a device comes near; a longer one is not parsed."""
MAX_AHEAD_MS: Final = 24 * 3600 * 1000
"""A synchronised clock that is further ahead than this is not believed."""

FAR_SESSIONS: Final = 10_000_000
"""Session numbers follow the clock in seconds: no device is so far ahead of it, and of the session
before."""

_DATE_PATTERN: Final = (
    r"^(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)
_STAGE_PATTERN: Final = r"^[a-z][a-z_]{0,31}$"
_MAX_COUNT: Final = 2**53 - 1  # the largest number that every JSON reader keeps exact


class Problem(StrEnum):
    """Why a message is refused."""

    TOPIC = "topic"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    SCHEMA = "schema"
    FORGED = "forged"
    UNKNOWN_DEVICE = "unknown-device"


class MessageError(ValueError):
    """A message that must not be believed; the text says which key is wrong and how.

    Attributes:
        problem: The kind of fault.
        address: The device whose topic it came by; ``None`` where that is not known.
    """

    def __init__(self, problem: Problem, detail: str, address: Address | None = None) -> None:
        super().__init__(detail)
        self.problem = problem
        self.address = address


def format_date(date: datetime) -> str:
    """Write a date as RFC 3339 in UTC with milliseconds, such as ``2026-11-21T09:30:00.250Z``."""
    return date.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_ms(date: datetime) -> int:
    """Return a date as whole milliseconds since 1970."""
    return round(date.timestamp() * 1000)


class _DateRule:
    """RFC 3339 with any offset and up to six decimals is read; UTC with milliseconds is written."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        aware = core_schema.datetime_schema(tz_constraint="aware", strict=False)
        text = core_schema.str_schema(pattern=_DATE_PATTERN, strict=True)
        return core_schema.no_info_after_validator_function(
            _to_utc,
            core_schema.json_or_python_schema(
                json_schema=core_schema.custom_error_schema(
                    core_schema.chain_schema([text, aware]),
                    custom_error_type="date",
                    custom_error_message="expected a date as in RFC 3339, with its offset",
                ),
                python_schema=core_schema.datetime_schema(tz_constraint="aware", strict=True),
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                format_date, when_used="json"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "pattern": _DATE_PATTERN}


def _to_utc(date: datetime) -> datetime:
    try:
        return date.astimezone(UTC)
    except OverflowError:  # the last hours of the year 9999, west of Greenwich
        raise PydanticCustomError("date", "is beyond the calendar") from None


def _rounded(digits: int) -> PlainSerializer:
    """Write no more decimals than mean anything; in memory the value stays as it is."""
    return PlainSerializer(lambda value: round(value, digits), return_type=float, when_used="json")


Identifier = Annotated[str, Field(pattern=ID_PATTERN, max_length=64)]
"""Lowercase letters, digits and inner hyphens: safe in a topic and in a host name."""
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Reason = Annotated[str, Field(max_length=256)]
BootId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Digits12 = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Date = Annotated[datetime, _DateRule]
Number = Annotated[int, Field(ge=1, le=_MAX_COUNT)]
Count = Annotated[int, Field(ge=0, le=_MAX_COUNT)]
Faces = Annotated[int, Field(ge=0, le=10_000)]
Share = Annotated[float, Field(ge=0, le=1), _rounded(3)]
Measure = Annotated[float, Field(ge=0, le=1e9), _rounded(3)]
Milliseconds = Annotated[float, Field(ge=0, le=1e9), _rounded(2)]
StageName = Annotated[str, Field(pattern=_STAGE_PATTERN)]
EmotionName = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
StateName = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "unknown"]
Isolation = Literal["namespace", "seccomp", "none"]
Protocol = Literal["5", "3.1.1"]
Publish = Literal["transitions", "class"]
CameraState = Literal["waiting", "streaming", "lost"]


class Presence(StrEnum):
    """Whether the device is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    STOPPED = "stopped"


class _Part(BaseModel):
    """A frozen value; what it does not know is ignored.

    Python writes the attributes' names, JSON the keys of the contract.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
    )


class _Message(_Part):
    """What all messages have in common."""

    @model_validator(mode="after")
    def _names_its_schema(self, info: ValidationInfo) -> Self:
        if info.mode == "json" and "schema_" not in self.model_fields_set:
            raise PydanticCustomError("schema", "schema: is missing")
        return self

    def to_json(self) -> str:
        """Write the message: compact, keys in the order of the contract."""
        return self.model_dump_json(by_alias=True)

    @classmethod
    def from_json(cls, payload: str | bytes) -> Self:
        """Read a message of this kind.

        Raises:
            MessageError: It is none; says which key is wrong and how.
        """
        try:
            message: Self = _reader(cls).validate_json(payload, by_alias=True, by_name=False)
        except ValidationError as why:
            raise _error(why) from None
        return message


class Transition(_Message):
    """The emotion of one face has changed.

    Attributes:
        event_id: ``boot_id`` and ``seq``, joined by a colon; the same for every copy of this event.
        boot_id: New for every start of the vision process and every new outbox.
        seq: Counts 1, 2, 3, ... without a gap within a ``boot_id``: order by it, never by time.
        device: Name of the device.
        camera: Name of the camera.
        track: A random label, new for every appearance of a face.
        before: The emotion that ended; never the same as ``to``.
        after: The emotion that began.
        confidence: Calibrated probability of ``to``.
        onset: When the change began; never later than ``decided``.
        decided: When it was decided.
        dwell_s: How long the emotion before had lasted, seconds.
        latency_ms: From the capture of the deciding frame to the decision, milliseconds.
        clock_synced: Whether a time source had set the clock that the dates come from.
        historical: Sent long after it happened: record it, but switch nothing because of it.
        degraded: Whether a reduced ensemble gave any of the evidence.
        model: Id of the model bundle.
        backlog: Sent before older events of the device that still wait: smaller numbers are no
            loss, they follow. Left out where it is false.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "anyOf": [
                    {"properties": {"from": {"const": name}, "to": {"const": name}}}
                    for name in EMOTIONS
                ]
            }
        }
    )

    schema_: Literal["emoshift.transition/1"] = Field(
        default="emoshift.transition/1", validation_alias="schema", serialization_alias="schema"
    )
    event_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}:[1-9][0-9]{0,15}$")]
    boot_id: BootId
    seq: Number
    device: Identifier
    camera: Identifier
    track: Name
    before: StateName = Field(validation_alias="from", serialization_alias="from")
    after: EmotionName = Field(validation_alias="to", serialization_alias="to")
    confidence: Annotated[float, Field(ge=0, le=1)]
    onset: Date
    decided: Date
    dwell_s: Annotated[float, Field(ge=0, le=1e9)]
    latency_ms: Annotated[int, Field(ge=0, le=10**9)]
    clock_synced: bool
    historical: bool
    degraded: bool
    model: Name
    backlog: bool = Field(default=False, exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _is_a_change(self) -> Self:
        if self.before == self.after:
            raise PydanticCustomError("change", "from and to are the same")
        if self.onset > self.decided:
            raise PydanticCustomError("change", "onset is later than decided")
        if self.event_id != f"{self.boot_id}:{self.seq}":
            raise PydanticCustomError("forged", "event_id does not join boot_id and seq")
        return self

    def moved(self, by_s: float) -> Transition:
        """Return the same event with dates of a clock that has been set since."""
        by = timedelta(milliseconds=round(by_s * 1000))
        return self.model_copy(
            update={"onset": self.onset + by, "decided": self.decided + by, "clock_synced": True}
        )


class Status(_Message):
    """Whether the device is there; ``offline`` is its last will.

    Attributes:
        device: Name of the device.
        state: ``stopped`` is a clean stop, ``offline`` a lost connection.
        session: Grows with every connection; ignore a status with a smaller number than one
            already seen from this instance.
        instance: Tells two devices with the same name apart.
        run: Tells two runs of the publisher apart.
        protocol: The MQTT version in use.
    """

    schema_: Literal["emoshift.status/1"] = Field(
        default="emoshift.status/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    state: Presence
    session: Number
    instance: Digits12
    run: Digits12
    protocol: Protocol


class Info(_Message):
    """What the device is.

    Attributes:
        device: Name of the device.
        camera: Name of the camera.
        software: Version of this package.
        model: Id of the model bundle in use.
        isolation: What keeps the vision process off the network.
        min_faces: The class summary is suppressed below this many faces.
        publish: What this device tells: ``transitions`` of single, unnamed faces, or ``class``,
            counts over windows of time with noise and never a single face. Not sent by older
            devices.
        face_finder: The back end that finds the faces. Not sent by older devices.
        face_finder_reason: Why it was chosen, and what it cannot do here. Not sent by older
            devices.
        capture: Picture size, pixel format and rate that the camera agreed to; empty until it
            does. Not sent by older devices.
        false_changes_per_min: Wrong transitions a minute and face that the bundle's makers measured
            on people who only talk; null where unknown. Not sent by older devices.
    """

    schema_: Literal["emoshift.info/1"] = Field(
        default="emoshift.info/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    camera: Identifier
    software: Name
    model: Name
    isolation: Isolation
    min_faces: Annotated[int, Field(ge=1, le=10_000)]
    publish: Publish = "transitions"
    face_finder: Reason = ""
    face_finder_reason: Reason = ""
    capture: Reason = ""
    false_changes_per_min: Annotated[float, Field(ge=0, le=10_000)] | None = None


class States(_Part):
    """Faces per state."""

    angry: Count
    disgust: Count
    fear: Count
    happy: Count
    sad: Count
    surprise: Count
    neutral: Count
    unknown: Count

    def counts(self) -> tuple[int, ...]:
        """Return the counts in the order of `emoshift.emotions.STATES`."""
        return tuple(getattr(self, state) for state in STATES)


class Changes(_Part):
    """Faces that changed to each emotion."""

    angry: Count
    disgust: Count
    fear: Count
    happy: Count
    sad: Count
    surprise: Count
    neutral: Count

    def counts(self) -> tuple[int, ...]:
        """Return the counts in the order of `emoshift.emotions.EMOTIONS`."""
        return tuple(getattr(self, emotion) for emotion in EMOTIONS)


class ClassSummary(_Message):
    """How many faces are in which state; empty below the smallest class allowed.

    Attributes:
        device: Name of the device.
        camera: Name of the camera.
        at: When it was true.
        suppressed: Whether there are too few faces to say anything without pointing at somebody.
        faces: How many faces were counted, the sum of ``states``; null when suppressed.
        states: Faces per state; null when suppressed.
        window_s: Over how many seconds before ``at`` the counts are means, with noise; null where
            they are of one moment. Not sent by older devices.
        changes: Faces that changed to each emotion within the window, with noise; null when
            suppressed or without a window. Not sent by older devices.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"suppressed": {"const": True}}},
            "then": {"properties": {"faces": {"type": "null"}, "states": {"type": "null"}}},
            "else": {"properties": {"faces": {"type": "integer"}, "states": {"type": "object"}}},
        }
    )

    schema_: Literal["emoshift.class/1"] = Field(
        default="emoshift.class/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    camera: Identifier
    at: Date
    suppressed: bool
    faces: Faces | None
    states: States | None
    window_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    changes: Changes | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.suppressed != (self.states is None) or self.suppressed != (self.faces is None):
            raise PydanticCustomError("class", "suppressed contradicts faces and states")
        if self.states is not None and sum(self.states.counts()) != self.faces:
            raise PydanticCustomError("class", "faces is not the sum of states")
        return self


def summarise_class(
    states: Mapping[Emotion | None, int],
    *,
    device: str,
    camera: str,
    at: datetime,
    min_faces: int,
) -> ClassSummary:
    """Count a class, or suppress the counts where it is smaller than ``min_faces``.

    Args:
        states: Faces per state; ``None`` is unknown.
        device: Name of the device.
        camera: Name of the camera.
        at: When it was true.
        min_faces: The smallest class that is described.
    """
    faces = sum(states.values())
    suppressed = faces < min_faces
    counts = {state_label(state): states.get(state, 0) for state in (*Emotion, None)}
    return ClassSummary(
        device=device,
        camera=camera,
        at=at,
        suppressed=suppressed,
        faces=None if suppressed else faces,
        states=None if suppressed else States(**counts),
    )


class Percentiles(_Part):
    """Latency of one stage over the last interval, milliseconds."""

    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds


class Age(_Part):
    """Median and 95th percentile of an age, seconds."""

    p50: Measure
    p95: Measure


class Health(_Message):
    """How the device is doing.

    Attributes:
        device: Name of the device.
        camera: Name of the camera.
        at: When it was measured.
        camera_state: ``waiting`` is no image yet, ``lost`` no image any more.
        fps: Frames processed a second over the last interval.
        frames: Frames processed since the start.
        dropped_frames: Frames since the start that were replaced by newer ones.
        faces: Faces in the last frame; null where no single face is told of.
        stages: Latency per stage over the last interval; ``total`` is capture to outbox.
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
    """

    schema_: Literal["emoshift.health/1"] = Field(
        default="emoshift.health/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    camera: Identifier
    at: Date
    camera_state: CameraState
    fps: Annotated[float, Field(ge=0, le=1e6), _rounded(2)]
    frames: Count
    dropped_frames: Count
    faces: Faces | None
    stages: Annotated[
        dict[StageName, Percentiles],
        Field(max_length=32, json_schema_extra={"propertyNames": {"pattern": _STAGE_PATTERN}}),
    ]
    outbox_depth: Count
    outbox_dropped: Count
    outbox_state: Literal["ready", "full", "failing"]
    outbox_damaged: Count = 0
    outbox_set_aside: Count = 0
    level: Annotated[int, Field(ge=0, le=100)] = 0
    temperature_c: Annotated[float, Field(ge=-273.15, le=1000), _rounded(1)] | None = None
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
    sharpness: Annotated[float, Field(ge=0, le=1e9), _rounded(1)] | None = None


class BootNumbers(_Part):
    """The numbers of one ``boot_id``.

    Attributes:
        boot_id: Which.
        kept_from: The lowest number that can still be asked for by ``/replay``.
        settled: The broker has taken all numbers up to here, or they are lost.
    """

    boot_id: BootId
    kept_from: Number
    settled: Count


class LostNumbers(_Part):
    """Numbers that will not come any more.

    Attributes:
        boot_id: Under which they were given.
        first: The first of them.
        last: The last of them.
        reason: ``damaged`` on the disk, ``full`` or ``old`` (dropped by the limits of the outbox),
            ``memory`` (no disk took them), ``refused`` by the broker and kept on the device, or
            ``removed`` by its operator.
    """

    boot_id: BootId
    first: Number
    last: Number
    reason: Literal["damaged", "full", "old", "memory", "refused", "removed"]


class Ledger(_Message):
    """Which numbers were sent, can be had again, or are lost: what a subscriber compares with.

    Attributes:
        device: Name of the device.
        boots: The latest boot ids, the newest last.
        lost: The latest losses, the newest last.
    """

    schema_: Literal["emoshift.ledger/1"] = Field(
        default="emoshift.ledger/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    boots: Annotated[list[BootNumbers], Field(max_length=100)]
    lost: Annotated[list[LostNumbers], Field(max_length=100)]


class Replay(_Message):
    """Sent by a subscriber: a device is to send events again that it still keeps.

    Attributes:
        device: Name of the device that is asked.
        boot_id: Under which the events were numbered.
        first: The first number.
        last: The last number.
    """

    schema_: Literal["emoshift.replay/1"] = Field(
        default="emoshift.replay/1", validation_alias="schema", serialization_alias="schema"
    )
    device: Identifier
    boot_id: BootId
    first: Number
    last: Number


Body = Transition | Status | Info | ClassSummary | Health | Ledger | Replay

MODELS: Final[dict[Kind, type[Body]]] = {
    Kind.TRANSITION: Transition,
    Kind.STATUS: Status,
    Kind.INFO: Info,
    Kind.CLASS: ClassSummary,
    Kind.HEALTH: Health,
    Kind.LEDGER: Ledger,
    Kind.REPLAY: Replay,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One believed message.

    Attributes:
        address: The device it came from.
        body: What it says.
        received_ms: When it was received, milliseconds since 1970; 0 where nobody looked.
    """

    address: Address
    body: Body
    received_ms: int = 0


def read_message(topic: str, payload: bytes, *, received_ms: int = 0) -> Message:
    """Validate one message completely.

    Args:
        topic: Where it came from; it must be the topic of the device that it names.
        payload: The JSON text.
        received_ms: The time now, milliseconds since 1970, to refuse events from the future; 0 to
            believe any date.

    Raises:
        MessageError: Anything about it is wrong; says what.
    """
    place = read_topic(topic)
    if place is None:
        raise MessageError(Problem.TOPIC, f"no topic of the contract: {topic[:200]!r}")
    address, kind = place
    if len(payload) > MAX_PAYLOAD_BYTES:
        detail = f"{kind}: {len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}"
        raise MessageError(Problem.OVERSIZED, detail, address)
    try:
        body: Body = MODELS[kind].from_json(payload)
    except MessageError as why:
        raise MessageError(why.problem, f"{kind}: {why}", address) from None
    if body.device != address.device:
        raise MessageError(Problem.FORGED, f"{kind}: says it is from {body.device!r}", address)
    if isinstance(body, Transition) and received_ms and _is_ahead(body, received_ms):
        detail = f"{kind}: dated {body.decided.isoformat()}, more than a day ahead"
        raise MessageError(Problem.FORGED, detail, address)
    return Message(address, body, received_ms)


def is_plausible(session: int, *, after: int, now_s: float | None = None) -> bool:
    """Whether a session number can be one of a device, and is no forgery that silences it.

    Args:
        session: The number.
        after: The one seen before; 0 for none.
        now_s: The time, seconds since 1970; that of now unless given.
    """
    return session <= max(after, time.time() if now_s is None else now_s) + FAR_SESSIONS


def read_schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind of message, such as ``transition``.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in set(Kind):
        raise ValueError(f"unknown message {kind!r}; the messages are {', '.join(Kind)}")
    file = resources.files("emoshift").joinpath("schemas", f"{kind}.json")
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema


def _is_ahead(event: Transition, now_ms: int) -> bool:
    return event.clock_synced and to_ms(event.decided) > now_ms + MAX_AHEAD_MS


@cache
def _reader(model: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _error(why: ValidationError) -> MessageError:
    first = why.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "forged":
        problem = Problem.FORGED
    elif where == "schema" or first["type"] == "schema":
        problem = Problem.SCHEMA
    else:
        problem = Problem.MALFORMED
    return MessageError(problem, f"{where + ': ' if where else ''}{first['msg']}"[:300])

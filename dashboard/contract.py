"""The MQTT contract as a subscriber reads it: topics, payloads, and why a message is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

if TYPE_CHECKING:
    from datetime import datetime

ROOT: Final = "emoshift/v1"
EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
UNKNOWN: Final = "unknown"
STATES: Final = (*EMOTIONS, UNKNOWN)
MAX_PAYLOAD_BYTES: Final = 16 * 1024
MAX_AHEAD_MS: Final = 24 * 3600 * 1000
"""A synchronised clock that is further ahead than this is not believed."""

_ID: Final = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
_SEGMENT: Final = re.compile(_ID)

Identifier = Annotated[str, Field(pattern=_ID, max_length=64)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
BootId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=1e9)]
EmotionName = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


class Kind(StrEnum):
    """The last level of a topic."""

    STATUS = "status"
    INFO = "info"
    TRANSITION = "transition"
    CLASS = "class"
    HEALTH = "health"


class Problem(StrEnum):
    """Why a message is refused."""

    TOPIC = "topic"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    SCHEMA = "schema"
    FORGED = "forged"


class RefusedMessage(ValueError):  # noqa: N818 - it is the message's fate, not a fault of ours
    """A message that must not be believed.

    Attributes:
        problem: The kind of fault.
        address: The device whose topic it came by; ``None`` where the topic names none.
    """

    def __init__(self, problem: Problem, detail: str, address: Address | None) -> None:
        super().__init__(detail)
        self.problem = problem
        self.address = address


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One device: its site and its name there."""

    site: str
    device: str

    def topic(self, kind: Kind) -> str:
        """Name the topic on which the device tells ``kind``."""
        return f"{ROOT}/{self.site}/{self.device}/{kind}"

    def __str__(self) -> str:
        return f"{self.site}/{self.device}"


class _Payload(BaseModel):
    # A key that a later version adds is ignored, as the device's own reader does.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)
    device: Identifier


class Status(_Payload):
    """Whether the device is there; a smaller session number than one seen is late."""

    schema_: Literal["emoshift.status/1"] = Field(alias="schema")
    state: Literal["online", "offline", "stopped"]
    session: Annotated[int, Field(ge=1, le=2**53 - 1)]
    instance: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    protocol: Literal["5", "3.1.1"]


class Info(_Payload):
    """What the device is."""

    schema_: Literal["emoshift.info/1"] = Field(alias="schema")
    camera: Identifier
    software: Name
    model: Name
    isolation: Literal["namespace", "seccomp", "none"]
    min_faces: Annotated[int, Field(ge=1, le=10_000)]


class Transition(_Payload):
    """One face's emotion has changed."""

    schema_: Literal["emoshift.transition/1"] = Field(alias="schema")
    event_id: Annotated[str, Field(max_length=64)]
    boot_id: BootId
    seq: Annotated[int, Field(ge=1, le=2**53 - 1)]
    camera: Identifier
    track: Name
    before: EmotionName | Literal["unknown"] = Field(alias="from")
    after: EmotionName = Field(alias="to")
    confidence: Annotated[float, Field(ge=0, le=1)]
    onset: AwareDatetime
    decided: AwareDatetime
    dwell_s: Annotated[float, Field(ge=0, le=1e9)]
    latency_ms: Annotated[int, Field(ge=0, le=10**9)]
    clock_synced: bool
    historical: bool
    degraded: bool
    model: Name

    @model_validator(mode="after")
    def _a_change(self) -> Self:
        if self.before == self.after:
            raise ValueError("from and to are the same")
        if self.onset > self.decided:
            raise ValueError("onset lies after decided")
        return self


class States(BaseModel):
    """Faces per state."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    angry: Count
    disgust: Count
    fear: Count
    happy: Count
    sad: Count
    surprise: Count
    neutral: Count
    unknown: Count

    def counts(self) -> tuple[int, ...]:
        """Return the counts in the order of `STATES`."""
        return (
            self.angry,
            self.disgust,
            self.fear,
            self.happy,
            self.sad,
            self.surprise,
            self.neutral,
            self.unknown,
        )


class ClassSummary(_Payload):
    """How many faces are in which state."""

    schema_: Literal["emoshift.class/1"] = Field(alias="schema")
    camera: Identifier
    at: AwareDatetime
    suppressed: bool
    faces: Annotated[int, Field(ge=0, le=10_000)] | None
    states: States | None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.suppressed != (self.states is None) or self.suppressed != (self.faces is None):
            raise ValueError("suppressed contradicts faces and states")
        if self.states is not None and sum(self.states.counts()) != self.faces:
            raise ValueError("faces is not the sum of states")
        return self


class Percentiles(BaseModel):
    """Latency of one stage over the last interval."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds


class Health(_Payload):
    """How the device is doing."""

    schema_: Literal["emoshift.health/1"] = Field(alias="schema")
    camera: Identifier
    at: AwareDatetime
    camera_state: Literal["waiting", "streaming", "lost"]
    fps: Annotated[float, Field(ge=0, le=10_000)]
    frames: Count
    dropped_frames: Count
    faces: Annotated[int, Field(ge=0, le=10_000)]
    stages: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")], Percentiles],
        Field(max_length=32),
    ]
    outbox_depth: Count
    outbox_dropped: Count
    outbox_state: Literal["ready", "full", "failing"]
    level: Annotated[int, Field(ge=0, le=100)]
    temperature_c: Annotated[float, Field(ge=-100, le=300)] | None
    throttled: bool | None
    drift: Annotated[float, Field(ge=0, le=1e9)] | None = None
    abstained: Share | None = Field(
        default=None, validation_alias=AliasChoices("abstained", "abstention")
    )
    brightness: Annotated[float, Field(ge=0, le=1e9)] | None = None
    sharpness: Annotated[float, Field(ge=0, le=1e9)] | None = None


Body = Status | Info | Transition | ClassSummary | Health

_READERS: Final[dict[Kind, TypeAdapter[Body]]] = {
    Kind.STATUS: TypeAdapter(Status),
    Kind.INFO: TypeAdapter(Info),
    Kind.TRANSITION: TypeAdapter(Transition),
    Kind.CLASS: TypeAdapter(ClassSummary),
    Kind.HEALTH: TypeAdapter(Health),
}


@dataclass(frozen=True, slots=True)
class Message:
    """One believed message.

    Attributes:
        address: The device it came from.
        body: What it says.
        received_ms: When it was received, milliseconds since 1970.
    """

    address: Address
    body: Body
    received_ms: int


def to_ms(date: datetime) -> int:
    """Return a date as whole milliseconds since 1970."""
    return round(date.timestamp() * 1000)


@lru_cache(maxsize=8192)
def read_topic(topic: str) -> tuple[Address, Kind]:
    """Split a topic into the device and what it tells.

    Raises:
        RefusedMessage: The topic is none of the contract.
    """
    parts = topic.split("/")
    if len(parts) == 5 and f"{parts[0]}/{parts[1]}" == ROOT:
        _, _, site, device, last = parts
        if (
            _SEGMENT.fullmatch(site)
            and _SEGMENT.fullmatch(device)
            and last in Kind.__members__.values()
        ):
            return Address(site, device), Kind(last)
    raise RefusedMessage(Problem.TOPIC, f"no topic of the contract: {topic[:200]!r}", None)


def read_message(topic: str, payload: bytes, *, received_ms: int) -> Message:
    """Validate one message completely.

    Raises:
        RefusedMessage: Anything about it is wrong; says what.
    """
    address, kind = read_topic(topic)
    if len(payload) > MAX_PAYLOAD_BYTES:
        found = f"{len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}"
        raise RefusedMessage(Problem.OVERSIZED, f"{kind}: {found}", address)
    try:
        body = _READERS[kind].validate_json(payload)
    except ValidationError as why:
        raise _refusal(why, kind, address) from None
    if body.device != address.device:
        found = f"says it is from {body.device!r}"
        raise RefusedMessage(Problem.FORGED, f"{kind}: {found}", address)
    if isinstance(body, Transition):
        _check_transition(body, address, received_ms)
    return Message(address, body, received_ms)


def _check_transition(body: Transition, address: Address, received_ms: int) -> None:
    if body.event_id != f"{body.boot_id}:{body.seq}":
        detail = "transition: event_id does not join boot_id and seq"
        raise RefusedMessage(Problem.FORGED, detail, address)
    if body.clock_synced and to_ms(body.decided) > received_ms + MAX_AHEAD_MS:
        detail = f"transition: dated {body.decided.isoformat()}, more than a day ahead"
        raise RefusedMessage(Problem.FORGED, detail, address)


def _refusal(why: ValidationError, kind: Kind, address: Address) -> RefusedMessage:
    first = why.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    problem = Problem.SCHEMA if where == "schema" else Problem.MALFORMED
    detail = f"{kind}: {where + ': ' if where else ''}{first['msg']}"
    return RefusedMessage(problem, detail[:300], address)

"""What a device is, and whether it is there."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from emoshift.messages.body import MessageBody
from emoshift.messages.fields import (
    Digits12,
    Identifier,
    Isolation,
    Name,
    Number,
    Protocol,
    Publish,
    Reason,
)
from emoshift.messages.model_card import ModelCard, ModelUse

FAR_SESSIONS: Final = 10_000_000
"""Session numbers follow the clock in seconds: no device is so far ahead of it, and of the session
before."""


class Presence(StrEnum):
    """Whether the device is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    STOPPED = "stopped"


class Status(MessageBody):
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


class Info(MessageBody):
    """What the device is.

    Attributes:
        device: Name of the device.
        camera: Name of the camera.
        software: Version of this package.
        model: Id of the model bundle in use.
        isolation: What keeps the vision process off the network.
        min_faces: The class summary is suppressed below this many faces.
        publish: What this device publishes: ``transitions`` of single, unnamed faces, or ``class``,
            counts over windows of time with noise and never a single face. Not sent by older
            devices.
        face_finder: The back end that finds the faces. Not sent by older devices.
        face_finder_reason: Why it was chosen, and what it cannot do here. Not sent by older
            devices.
        capture: Picture size, pixel format and rate that the camera agreed to; empty until it
            does. Not sent by older devices.
        false_changes_per_min: Wrong transitions a minute and face that the bundle's makers measured
            on people who only talk; null where unknown. Not sent by older devices.
        site_layer: Id of what was learnt of this room and lies over the bundle; empty without one.
            Not sent by older devices.
        card: The bundle's model card; null where unknown. Not sent by older devices.
        history: What was installed, calibrated or taken back when, the latest last. Not sent by
            older devices.
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
    site_layer: Annotated[str, Field(pattern=r"^(site-[0-9a-f]{12})?$")] = ""
    card: ModelCard | None = None
    history: Annotated[list[ModelUse], Field(max_length=20, default_factory=list)]


def is_plausible(session: int, *, after: int, now_s: float | None = None) -> bool:
    """Whether a session number can be one of a device, and is no forgery that silences it.

    Args:
        session: The number.
        after: The one seen before; 0 for none.
        now_s: The time, seconds since 1970; that of now unless given.
    """
    return session <= max(after, time.time() if now_s is None else now_s) + FAR_SESSIONS

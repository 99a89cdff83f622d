"""What the publisher wants of a connection to a broker, whoever provides it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence


class Failure(Enum):
    """Why there is no connection; the value is the hint for the operator."""

    UNREACHABLE = "check mqtt.host, mqtt.port and the network"
    TLS = "check mqtt.ca_file, the certificates, and that the clock is right"
    PROTOCOL = "the broker speaks neither MQTT 5 nor 3.1.1"
    HUNG_UP = "the broker hangs up before it answers; check its log"
    CREDENTIALS = "check mqtt.username and mqtt.password_file"
    IDENTITY = "the broker does not accept this device's client id"
    UNAVAILABLE = "the broker is busy or shutting down"
    TAKEN_OVER = "another client connected with this device's id; is its disk a copy?"
    LOST = "the connection broke"
    SILENT = "the broker does not answer"
    STALLED = "the broker acknowledges nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent.

    Attributes:
        topic: Where to.
        payload: JSON, or empty to clear a retained message.
        qos: 0 or 1.
        retain: Whether the broker keeps it for later subscribers.
        expiry_s: After how long the broker drops it; MQTT 5 only.
    """

    topic: str
    payload: str
    qos: int
    retain: bool
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker accepts us.

    Attributes:
        protocol: ``5`` or ``3.1.1``.
        window: How many messages it lets be unacknowledged at a time.
    """

    protocol: str
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The broker has taken, or refused, a message of QoS 1.

    Attributes:
        token: What `Link.send` returned.
        refused: Why it was not taken; ``None`` when it was.
        unheard: Whether the broker says that nobody subscribes to it (MQTT 5).
    """

    token: int
    refused: str | None
    unheard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message from a topic subscribed to."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """There is no connection, or none any more; the link is of no further use.

    Attributes:
        failure: What kind.
        detail: What the broker or the system said.
    """

    failure: Failure
    detail: str


LinkEvent: TypeAlias = Connected | Acknowledged | Received | Lost


class Link(Protocol):
    """One connection, from the attempt to its end; never used again.

    Not thread-safe: one thread opens it, takes its turns, and closes it.
    """

    def open(self) -> None:
        """Start to connect; the outcome comes as an event of a later turn."""

    def turn(self, timeout_s: float) -> Sequence[LinkEvent]:
        """Read and write for at most this long, and tell what happened."""

    def send(self, message: Message) -> int:
        """Send a message; returns the token that its acknowledgement will carry."""

    def subscribe(self, topic: str) -> None:
        """Ask for the messages of a topic, QoS 1."""

    def close(self) -> None:
        """Say goodbye, so that the last will is not published; harmless on a lost link."""

    def drop(self) -> None:
        """Give the connection up without a goodbye, so that the last will is published."""

"""What this package wants of a connection to a broker, whoever provides it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence


class Failure(Enum):
    """Why there is no connection; the value is the hint for the operator."""

    UNREACHABLE = "check the broker's host and port, and the network"
    TLS = "check ca_file, the certificates, and that the clock is right"
    PROTOCOL = "the broker speaks neither MQTT 5 nor 3.1.1"
    HUNG_UP = "the broker hangs up before it answers; check its log"
    CREDENTIALS = "check username and password_file"
    IDENTITY = "the broker does not accept this client id"
    AUTHENTICATION = "the broker wants another way of signing in; allow user name and password"
    FORBIDDEN = "the broker does not allow this client; check its access list and its bans"
    UNAVAILABLE = "the broker is busy or shutting down"
    TOO_OFTEN = "the broker limits how often clients connect or send; raise its limits"
    QUOTA = "the broker's quota is used up; raise it"
    TOO_LARGE = "a message is larger than the broker allows; raise its largest packet size"
    PAYLOAD = "the broker does not accept a payload or a topic; check its rules"
    NO_RETAIN = "the broker keeps no retained messages; going on without them"
    NO_QOS = "the broker knows no QoS 1; going on with QoS 0"
    MOVED = "the broker has moved; set the host that it names in its log"
    ADMINISTRATOR = "an administrator of the broker has closed the connection"
    MISUNDERSTOOD = "the broker does not understand what was sent; check its version and its log"
    SUBSCRIPTION = "the broker does not allow a kind of subscription; check its configuration"
    KEEPALIVE = "the broker heard nothing in time; check the network, or raise keepalive_s"
    TAKEN_OVER = "another client connected with this device's id; is its disk a copy?"
    LOST = "the connection broke"
    SILENT = "the broker does not answer"
    STALLED = "the broker acknowledges nothing"
    RESTARTED = "connecting anew, so that the broker sends again what was left"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
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

    @property
    def size_bytes(self) -> int:
        """An upper limit of its size on the wire."""
        return len(self.payload.encode()) + len(self.topic.encode()) + 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker accepts us.

    Attributes:
        protocol: ``5`` or ``3.1.1``.
        window: How many messages it lets be unacknowledged at a time.
        retain: Whether it keeps retained messages; without, they are sent as others.
        max_qos: 0 where it acknowledges nothing; then sent is as good as acknowledged.
        largest_bytes: The largest packet that it takes; ``None`` where it does not say.
    """

    protocol: str
    window: int
    retain: bool = True
    max_qos: int = 1
    largest_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """The broker has answered a subscription: what comes from now on is received.

    Attributes:
        refused: What it does not let us have: topic and reason.
    """

    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The broker has taken, or refused, a message of QoS 1.

    Attributes:
        token: What `Connection.send` returned.
        refused: Why it was not taken; ``None`` when it was.
        unheard: Whether the broker says that nobody subscribes to it (MQTT 5).
    """

    token: int
    refused: str | None
    unheard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message from a topic subscribed to.

    Attributes:
        topic, payload: What it carries.
        retained: Whether it is the stored value of the topic, not a new one.
        token: To acknowledge it with, on a connection where that is left to its owner; 0 where
            nothing is to be acknowledged.
    """

    topic: str
    payload: bytes
    retained: bool
    token: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """There is no connection, or none any more; this one is of no further use.

    Attributes:
        failure: What kind.
        detail: What the broker or the system said.
        of_message: Whether the broker said that it is because of a message it was sent.
    """

    failure: Failure
    detail: str
    of_message: bool = False


ConnectionEvent: TypeAlias = Connected | Subscribed | Acknowledged | Received | Lost


class Connection(Protocol):
    """One connection, from the attempt to its end; never used again.

    Not thread-safe: one thread opens it, takes its turns, and closes it.
    """

    def open(self) -> None:
        """Start to connect; the outcome comes as an event of a later turn."""

    def turn(self, timeout_s: float) -> Sequence[ConnectionEvent]:
        """Read and write for at most this long, and return what happened."""

    def send(self, message: OutgoingMessage) -> int:
        """Send a message; returns the token that its acknowledgement will carry."""

    def subscribe(self, *topics: str) -> None:
        """Ask for the messages of these topics, QoS 1."""

    def unsubscribe(self, *topics: str) -> None:
        """Ask for no more messages of these topics."""

    def acknowledge(self, token: int) -> None:
        """Tell the broker that a received message is safe; tokens of others are ignored."""

    def close(self) -> None:
        """Say goodbye, so that the last will is not published; harmless on a lost connection."""

    def drop(self) -> None:
        """Give the connection up without a goodbye, so that the last will is published."""

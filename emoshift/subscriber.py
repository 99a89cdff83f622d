"""The helper for subscribers: every event once, in order, gaps told, late last wills ignored."""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from emoshift.messages import MessageError, Presence, Status, Transition, read_message
from emoshift.mqtt.connection import Connected, Lost, Received
from emoshift.mqtt.paho import Broker, PahoConnection
from emoshift.mqtt.reconnecting import ReconnectingConnection
from emoshift.topics import ROOT, Kind, read_topic

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

_TURN_S: Final = 0.2
KEEP_S: Final = 3600
"""How long a broker of MQTT 5 queues for a subscriber that lost its connection."""
_KINDS: Final = (Kind.TRANSITION, Kind.STATUS)
BOOTS: Final = 1000
"""Boot ids remembered; the longest silent is forgotten first."""
INSTANCES: Final = 1000
"""Devices whose last status is remembered; the longest silent is forgotten first."""
MISSING: Final = 10_000
"""Missing numbers remembered for each boot id, so that a late one is still told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event not told before.

    Attributes:
        event: The event.
        late: Whether it fills a gap that has been told.
    """

    event: Transition
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Numbers that have not come.

    Attributes:
        boot_id: Whose.
        first, last: The first and last missing number.
    """

    boot_id: str
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many are missing."""
        return self.last - self.first + 1


EventUpdate: TypeAlias = NewEvent | Gap


@dataclass(slots=True)
class _Boot:
    """How far one boot id has been told, and what is missing before that."""

    told: int
    missing: set[int] = field(default_factory=set)


class Deduplicator:
    """Tells each event once, in the order of its numbers, and which numbers are missing.

    The first event of a boot id starts the count where it is: who subscribes late has not missed
    what was before. The publisher sends in order, so what arrives behind its successor was held up
    or lost on the way: the gap is told at once, and the event, should it come, as late.
    """

    def __init__(self) -> None:
        self._boots: OrderedDict[str, _Boot] = OrderedDict()

    def accept(self, event: Transition) -> list[EventUpdate]:
        """Take in one event; return what is to be told because of it, in order."""
        boot = self._boots.get(event.boot_id)
        if boot is None:
            boot = self._boots[event.boot_id] = _Boot(told=event.seq - 1)
            if len(self._boots) > BOOTS:
                self._boots.popitem(last=False)
        self._boots.move_to_end(event.boot_id)
        if event.seq <= boot.told:
            if event.seq not in boot.missing:
                return []
            boot.missing.remove(event.seq)
            return [NewEvent(event=event, late=True)]
        first, boot.told = boot.told + 1, event.seq
        if first == event.seq:
            return [NewEvent(event=event)]
        boot.missing.update(range(max(first, event.seq - MISSING), event.seq))
        if (excess := len(boot.missing) - MISSING) > 0:
            boot.missing.difference_update(sorted(boot.missing)[:excess])
        return [Gap(boot_id=event.boot_id, first=first, last=event.seq - 1), NewEvent(event=event)]


class StatusFilter:
    """Passes on a status only if it is no older than one already seen from that device."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str], tuple[int, Presence]] = OrderedDict()

    def accept(self, topic: str, instance: str, session: int, state: Presence) -> bool:
        """Whether this status means anything; a late last will does not."""
        seen = self._sessions.get((topic, instance))
        if seen is not None and (session < seen[0] or (session, state) == seen):
            return False
        if seen is not None and session == seen[0] and seen[1] is Presence.STOPPED:
            return False  # nothing follows a clean stop within its session
        self._sessions[topic, instance] = (session, state)
        self._sessions.move_to_end((topic, instance))
        if len(self._sessions) > INSTANCES:
            self._sessions.popitem(last=False)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """A device came, went or was lost.

    Attributes:
        site, device: Which.
        state: What it is now.
        instance: Tells two devices with the same name apart.
    """

    site: str
    device: str
    state: Presence
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionChange:
    """The subscriber's own connection came or went.

    Attributes:
        online: Which of the two.
        text: What to tell the user.
    """

    online: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Something arrived that is no message of ours.

    Attributes:
        topic: Where.
        why: What is wrong with it.
    """

    topic: str
    why: str


Notification: TypeAlias = EventUpdate | DeviceStatus | ConnectionChange | Unreadable


class Interpreter:
    """Turns raw messages into news: pure, and all that a subscriber with another client needs."""

    def __init__(self) -> None:
        self._events = Deduplicator()
        self._statuses = StatusFilter()

    def read(self, topic: str, payload: bytes, *, retained: bool = False) -> list[Notification]:
        """Take in one message; returns what it means, nothing if it was known or is stale."""
        place = read_topic(topic)
        if place is None or place[1] not in _KINDS or not payload:
            return []
        address, kind = place
        if kind is Kind.TRANSITION and retained:
            return []  # no device retains an event; it would arrive again at every connect
        try:
            body = read_message(topic, payload).body
        except MessageError as why:
            return [Unreadable(topic=topic, why=str(why))]
        if isinstance(body, Transition):
            return [*self._events.accept(body)]
        if isinstance(body, Status) and self._statuses.accept(
            topic, body.instance, body.session, body.state
        ):
            return [
                DeviceStatus(
                    site=address.site,
                    device=address.device,
                    state=body.state,
                    instance=body.instance,
                )
            ]
        return []


def listen(
    broker: Broker | str,
    stop: threading.Event | None = None,
    *,
    devices: str = "+/+",
    keep_s: int = KEEP_S,
) -> Iterator[Notification]:
    """Yield what happens, reconnecting as often as it takes.

    Args:
        broker: A host name, or a `Broker` for a port, a password or TLS.
        stop: Set to end; without one it goes on for ever.
        devices: Whose events, as ``SITE/DEVICE``; ``+`` stands for any.
        keep_s: How long the broker queues while the connection is broken; 0 for brokers that may
            choke on being asked for it (amqtt takes five seconds longer to refuse MQTT 5 then).
    """
    if isinstance(broker, str):
        broker = Broker(host=broker)
    if not broker.client_id:
        broker = replace(broker, client_id=subscriber_id())
    interpreter = Interpreter()
    connection = ReconnectingConnection(
        lambda protocol: PahoConnection(broker, protocol=protocol, session_expiry_s=keep_s),
        address=broker.address,
    )
    try:
        while stop is None or not stop.is_set():
            for event in connection.turn(_TURN_S):
                match event:
                    case Connected():
                        connection.subscribe(*(f"{ROOT}/{devices}/{kind}" for kind in _KINDS))
                        yield ConnectionChange(
                            online=True,
                            text=f"connected to {broker.address} (MQTT {event.protocol})",
                        )
                    case Received():
                        yield from interpreter.read(
                            event.topic, event.payload, retained=event.retained
                        )
                    case Lost() if connection.notice_level >= logging.WARNING:
                        # Once for each kind of failure.
                        text = f"{broker.address}: {connection.notice}"
                        yield ConnectionChange(online=False, text=text)
                    case _:
                        pass
    finally:
        connection.close()


def subscriber_id() -> str:
    """Return a client id for one run of a subscriber."""
    return f"emoshift-subscriber-{uuid.uuid4().hex[:12]}"

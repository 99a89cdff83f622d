"""The helper for subscribers: each event once, in order; gaps reported, late last wills ignored."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from emoshift.errors import InputError, OutputError
from emoshift.messages import (
    Body,
    Ledger,
    MessageError,
    Presence,
    Replay,
    Status,
    Transition,
    is_plausible,
    read_message,
)
from emoshift.mqtt.connection import (
    Connected,
    ConnectionEvent,
    Lost,
    OutgoingMessage,
    Received,
    Subscribed,
)
from emoshift.mqtt.paho import Broker, PahoConnection
from emoshift.mqtt.reconnecting import ReconnectingConnection
from emoshift.number_ranges import NumberRanges
from emoshift.topics import ROOT, Address, Kind, read_topic

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_TURN_S: Final = 0.2
KEEP_S: Final = 3600
"""How long a broker of MQTT 5 queues for a subscriber that lost its connection."""
_KINDS: Final = (Kind.TRANSITION, Kind.STATUS, Kind.LEDGER)
ASKED_AGAIN_S: Final = 20.0
"""After how long what was asked for and has not come is asked for again."""
BOOTS: Final = 1000
"""Boot ids remembered; the longest silent is forgotten first."""
INSTANCES: Final = 1000
"""Devices whose last status is remembered; the longest silent is forgotten first."""
RANGES: Final = 10_000
"""Ranges of received numbers remembered for each boot id; the lowest are forgotten first."""


FAR: Final = 1_000_000
"""A number so far ahead of the last one is not believed until the next one follows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event not passed on before.

    Attributes:
        event: The event.
        late: Whether it fills a gap that was reported.
    """

    event: Transition
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Numbers that have not come.

    Attributes:
        boot_id: Whose.
        first, last: The first and last missing number.
        reason: Why the device cannot send them any more, as in `emoshift.messages.LostNumbers`;
            empty where they were lost on the way and may be asked for again.
    """

    boot_id: str
    first: int
    last: int
    reason: str = ""

    @property
    def count(self) -> int:
        """How many are missing."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FarAhead:
    """An event with a number that cannot be right; it is not passed on, those after it are.

    Attributes:
        boot_id: Whose.
        seq: Its number.
        highest: The highest number before it.
    """

    boot_id: str
    seq: int
    highest: int


EventUpdate: TypeAlias = NewEvent | Gap | FarAhead


@dataclass(slots=True)
class _Boot:
    """What of one boot id has come.

    Attributes:
        first: The first number that was to come; who subscribes late has not missed those before.
        received: The numbers that came.
        accounted: The numbers that came or are known to be missing.
        backlog: Whether the first event came before older ones.
        far: The latest number that was too far ahead to be believed.
    """

    first: int
    backlog: bool
    received: NumberRanges = field(default_factory=NumberRanges)
    accounted: NumberRanges = field(default_factory=NumberRanges)
    far: int = 0


class Deduplicator:
    """Passes each event on once, and says which numbers are missing.

    The first event of a boot id starts the count where it is: who subscribes late has not missed
    what was before. Numbers below an event are missing if they have not come, unless it says that
    older events still wait (``backlog``). What comes later all the same is marked late. A device
    counts for itself alone: what another one sends under its boot id changes nothing.
    """

    def __init__(self) -> None:
        self._boots: OrderedDict[str, _Boot] = OrderedDict()

    def accept(self, event: Transition, source: str = "") -> list[EventUpdate]:
        """Take in one event; return what is to be passed on because of it, in order.

        Args:
            event: The event.
            source: The device by whose topic it came, as ``SITE/DEVICE``.
        """
        key = _key(source, event.boot_id)
        boot = self._boots.get(key)
        if boot is None:
            boot = self._remember(key, _Boot(first=event.seq, backlog=event.backlog))
        self._boots.move_to_end(key)
        highest = boot.accounted.last or event.seq
        if event.seq - highest > FAR and event.seq != boot.far + 1:
            boot.far = event.seq
            return [FarAhead(boot_id=event.boot_id, seq=event.seq, highest=highest)]
        if event.seq in boot.received:
            return []
        if event.seq < boot.first:
            if not boot.backlog:
                return []  # from before this subscriber
            boot.first = event.seq
        late = event.seq in boot.accounted
        gaps: list[EventUpdate] = []
        if not event.backlog:
            gaps = [*self._missing(event.boot_id, boot, event.seq - 1)]
        boot.received.add(event.seq)
        boot.accounted.add(event.seq)
        for numbers in (boot.received, boot.accounted):
            numbers.forget(RANGES)
        return [*gaps, NewEvent(event=event, late=late)]

    def compare(self, ledger: Ledger, source: str = "") -> list[Gap]:
        """Compare what came with what the device says it sent; return what is missing.

        A boot id that follows one of which something came is expected from its first number on.
        Others, of which nothing came, may have been before this subscriber, and are left out.
        """
        known = False
        for numbers in ledger.boots:
            boot = self._boots.get(_key(source, numbers.boot_id))
            if known and boot is None:
                key = _key(source, numbers.boot_id)
                boot = self._remember(key, _Boot(first=1, backlog=False))
            elif known and boot is not None:
                boot.first = 1
            known = known or boot is not None
        gaps = []
        for lost in ledger.lost:
            if (boot := self._boots.get(_key(source, lost.boot_id))) is not None:
                first = max(lost.first, boot.first)
                gaps += self._missing(
                    lost.boot_id, boot, lost.last, first=first, reason=lost.reason
                )
        for numbers in ledger.boots:
            if (boot := self._boots.get(_key(source, numbers.boot_id))) is not None:
                gaps += self._missing(numbers.boot_id, boot, numbers.settled)
        return gaps

    def wanted(self, ledger: Ledger, source: str = "") -> list[tuple[str, int, int]]:
        """Return what has not come and can still be had: boot id, first and last number."""
        lost: dict[str, NumberRanges] = {}
        for loss in ledger.lost:
            lost.setdefault(loss.boot_id, NumberRanges()).add(loss.first, loss.last)
        found = []
        for numbers in ledger.boots:
            if (boot := self._boots.get(_key(source, numbers.boot_id))) is None:
                continue
            first = max(boot.first, numbers.kept_from)
            for start, end in boot.received.missing(first, numbers.settled):
                gone = lost.get(numbers.boot_id, NumberRanges())
                found += [(numbers.boot_id, a, b) for a, b in gone.missing(start, end)]
        return found

    def _remember(self, key: str, boot: _Boot) -> _Boot:
        self._boots[key] = boot
        if len(self._boots) > BOOTS:
            self._boots.popitem(last=False)
        return boot

    def _missing(
        self, boot_id: str, boot: _Boot, last: int, *, first: int | None = None, reason: str = ""
    ) -> list[Gap]:
        found = boot.accounted.missing(boot.first if first is None else first, last)
        for start, end in found:
            boot.accounted.add(start, end)
        return [Gap(boot_id=boot_id, first=a, last=b, reason=reason) for a, b in found]

    def forget(self, source: str) -> None:
        """Forget what has come from a device, whose numbers somebody has forged.

        Args:
            source: The device, as ``SITE/DEVICE``.
        """
        for key in [key for key in self._boots if key.startswith(f"{source}/")]:
            del self._boots[key]

    def to_json(self) -> str:
        """Write what has come, so that a later run goes on from there."""
        boots = {
            name: [boot.first, boot.backlog, [*boot.received], [*boot.accounted]]
            for name, boot in self._boots.items()
        }
        return json.dumps({"schema": "emoshift.received/1", "boots": boots})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Go on from what `to_json` wrote.

        Raises:
            ValueError: It did not write this.
        """
        found = cls()
        try:
            content = json.loads(text)
            if content["schema"] != "emoshift.received/1":
                raise ValueError(f"unknown schema {content['schema']!r}")
            for name, (first, backlog, received, accounted) in content["boots"].items():
                found._boots[str(name)] = _Boot(
                    first=int(first),
                    backlog=bool(backlog),
                    received=NumberRanges((int(a), int(b)) for a, b in received),
                    accounted=NumberRanges((int(a), int(b)) for a, b in accounted),
                )
        except (KeyError, TypeError, AttributeError) as why:
            raise ValueError(f"no state of a subscriber: {why}") from None
        return found


def _key(source: str, boot_id: str) -> str:
    return f"{source}/{boot_id}"


class StatusFilter:
    """Passes on a status only if it is no older than one already seen from that device."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str], tuple[int, Presence]] = OrderedDict()

    def forget(self, topic: str) -> None:
        """Believe the next status of a topic, whatever its number."""
        for key in [key for key in self._sessions if key[0] == topic]:
            del self._sessions[key]

    def accept(self, topic: str, instance: str, session: int, state: Presence) -> bool:
        """Whether this status means anything; a late last will does not."""
        seen = self._sessions.get((topic, instance))
        if seen is not None and (session < seen[0] or (session, state) == seen):
            return False
        if not is_plausible(session, after=0 if seen is None else seen[0]):
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
        online: Whether it is there and the broker has answered the subscription.
        text: What to show the user.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRefused:
    """The broker does not let this client subscribe: nothing will come of it.

    Attributes:
        topic: What was asked for.
        reason: What the broker said.
    """

    topic: str
    reason: str


Notification: TypeAlias = (
    EventUpdate | DeviceStatus | ConnectionChange | SubscriptionRefused | Unreadable
)


class Interpreter:
    """Turns raw messages into news: pure, and all that a subscriber with another client needs."""

    def __init__(self, events: Deduplicator | None = None) -> None:
        self.events = Deduplicator() if events is None else events
        """What has come so far; another run can go on from it (`Deduplicator.to_json`)."""
        self.requests: list[Replay] = []
        """What to ask devices for, each on its ``/replay``; taken out by whoever does."""
        self._statuses = StatusFilter()

    def forget(self, device: Address) -> None:
        """Undo what a stranger has sent under a device's name: its next word counts."""
        self.events.forget(str(device))
        self._statuses.forget(device.topic(Kind.STATUS))

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
        return self._interpret(topic, address, body)

    def _interpret(self, topic: str, address: Address, body: Body) -> list[Notification]:
        match body:
            case Transition():
                return [*self.events.accept(body, str(address))]
            case Ledger():
                self.requests += [
                    Replay(device=body.device, boot_id=boot_id, first=first, last=last)
                    for boot_id, first, last in self.events.wanted(body, str(address))
                ]
                return [*self.events.compare(body, str(address))]
            case Status() if self._statuses.accept(topic, body.instance, body.session, body.state):
                return [
                    DeviceStatus(
                        site=address.site,
                        device=address.device,
                        state=body.state,
                        instance=body.instance,
                    )
                ]
            case _:
                return []


def listen(
    broker: Broker | str,
    stop: threading.Event | None = None,
    *,
    devices: str = "+/+",
    keep_s: int = KEEP_S,
    state: Path | None = None,
    forget: Iterable[Address] = (),
) -> Iterator[Notification]:
    """Yield what happens, reconnecting as often as it takes.

    What was lost on the way is asked for again. To miss nothing over restarts, give the broker's
    ``client_id`` a name of your own, which keeps a session at the broker, and a ``state`` file.

    Args:
        broker: A host name, or a `Broker` for a port, a password or TLS.
        stop: Set to end; without one it goes on for ever.
        devices: Whose events, as ``SITE/DEVICE``; ``+`` stands for any.
        keep_s: How long the broker queues while the connection is broken; 0 for brokers that may
            choke on being asked for it (amqtt takes five seconds longer to refuse MQTT 5 then).
        state: Remembers what has come, for the next run. It is written at the start, and after the
            caller has taken a notification, so that what was taken just before a crash comes again.
        forget: Devices under whose names a stranger has sent: what the state remembers of them is
            forgotten first, so that no forged number holds up their events.

    Raises:
        InputError: The state cannot be read, or is none.
        OutputError: The state cannot be written.
    """
    if isinstance(broker, str):
        broker = Broker(host=broker)
    stable = bool(broker.client_id)
    if not stable:
        broker = replace(broker, client_id=subscriber_id())
    interpreter = _begin(state, forget)
    asked: dict[Replay, float] = {}
    protocol = ""
    connection = ReconnectingConnection(
        lambda protocol: PahoConnection(
            broker, protocol=protocol, session_expiry_s=keep_s, persistent=stable
        ),
        address=broker.address,
    )
    try:
        while stop is None or not stop.is_set():
            events = connection.turn(_TURN_S)
            for event in events:
                if isinstance(event, Connected):
                    protocol = event.protocol
                    connection.subscribe(*(f"{ROOT}/{devices}/{kind}" for kind in _KINDS))
                if isinstance(event, Subscribed):  # from now on nothing is missed
                    text = f"connected to {broker.address} (MQTT {protocol})"
                    yield ConnectionChange(online=True, text=text)
                yield from _notify(event, connection, interpreter, broker.address)
                if isinstance(event, Received):
                    _request_missing(connection, interpreter, event.topic, asked)
            if state is not None and any(isinstance(event, Received) for event in events):
                _write_state(state, interpreter.events)
    finally:
        connection.close()


def _notify(
    event: ConnectionEvent,
    connection: ReconnectingConnection,
    interpreter: Interpreter,
    address: str,
) -> Iterator[Notification]:
    match event:
        case Subscribed():
            for topic, reason in event.refused:
                yield SubscriptionRefused(topic=topic, reason=reason)
        case Received():
            yield from interpreter.read(event.topic, event.payload, retained=event.retained)
        case Lost() if connection.notice_level >= logging.WARNING:  # once for each kind of failure
            yield ConnectionChange(online=False, text=f"{address}: {connection.notice}")
        case _:
            pass


def _request_missing(
    connection: ReconnectingConnection,
    interpreter: Interpreter,
    ledger_topic: str,
    asked: dict[Replay, float],
) -> None:
    """Send the requests that are due."""
    now_s = time.monotonic()
    for request in interpreter.requests:
        if now_s - asked.get(request, float("-inf")) >= ASKED_AGAIN_S:
            asked[request] = now_s
            topic = f"{ledger_topic.rsplit('/', 1)[0]}/{Kind.REPLAY}"
            connection.send(
                OutgoingMessage(topic=topic, payload=request.to_json(), qos=1, retain=False)
            )
    interpreter.requests.clear()
    while len(asked) > RANGES:
        del asked[next(iter(asked))]


def _begin(state: Path | None, forget: Iterable[Address]) -> Interpreter:
    interpreter = Interpreter(_read_state(state))
    for device in forget:
        interpreter.forget(device)
    if state is not None:
        _write_state(state, interpreter.events)  # fails now, not with the first event in a week
    return interpreter


def _read_state(path: Path | None) -> Deduplicator:
    if path is None or not path.exists():
        return Deduplicator()
    try:
        return Deduplicator.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as why:
        raise InputError(f"{path}: {why}; give another file, or remove it to start anew") from why


def _write_state(path: Path, events: Deduplicator) -> None:
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(events.to_json(), encoding="utf-8")
        fresh.replace(path)
    except OSError as why:
        raise OutputError(f"{path}: cannot be written: {why.strerror}") from why


def subscriber_id() -> str:
    """Return a client id for one run of a subscriber."""
    return f"emoshift-subscriber-{uuid.uuid4().hex[:12]}"

"""The hub: one subscription to the broker, many browsers that listen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from dashboard.live.state import DeviceState, fold
from dashboard.live.steady_clock import steady_ms
from emoshift.messages import Message, MessageError, Transition, read_message, to_ms
from emoshift.mqtt.background import BackgroundConnection
from emoshift.mqtt.connection import Acknowledged, Connected, Lost, Received, Subscribed
from emoshift.mqtt.paho import Broker
from emoshift.topics import ROOT, Address, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from dashboard.store.read import StoredDevice
    from emoshift.mqtt.connection import ConnectionEvent
    from emoshift.settings import BrokerSettings

LOG: Final = logging.getLogger(__name__)

_REMEMBERED: Final = 4096
_QUEUE: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class HubEvent:
    """One thing a listener hears of.

    Attributes:
        kind: ``device`` (its state changed), ``transition``, ``link`` (the broker came or went), or
            ``resync`` (something may have been missed: the history knows).
        address: Which device; ``None`` for the link.
        transition: The event.
        received_ms: When it arrived here.
    """

    kind: str
    address: Address | None = None
    transition: Transition | None = None
    received_ms: int = 0


@dataclass(slots=True, eq=False)
class Listener:
    """One open page.

    Attributes:
        address: The only device it wants; ``None`` for the state of all.
        queue: What it has not taken yet.
        overrun: Whether it was too slow and something was dropped: it must start anew.
        waits: Whether the broker has not confirmed a subscription since it began to listen.
    """

    address: Address | None
    queue: asyncio.Queue[HubEvent] = field(default_factory=lambda: asyncio.Queue(_QUEUE))
    overrun: bool = False
    waits: bool = True

    def queue_event(self, event: HubEvent) -> None:
        """Queue something, or mark the listener as overrun."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            self.overrun = True


_STATE: Final = (Kind.STATUS, Kind.INFO, Kind.CLASS, Kind.HEALTH)


class Hub:
    """Current state of every device, and who wants to hear of changes.

    It subscribes to the state of all devices, and to the events of those alone that somebody
    looks at. Devices that the history does not know are none: a worker enrols them first.
    Everything but the connection's callbacks runs on the event loop.

    Attributes:
        devices: What is known of each device.
        refused: Refused messages since the start, by device.
        closing: Whether the server is about to end, so that streams end too.
    """

    def __init__(self, broker: BrokerSettings) -> None:
        self.devices: dict[Address, DeviceState] = {}
        self.refused: Counter[Address] = Counter()
        self.drift_rise: dict[Address, float] = {}
        self.closing = False
        self._listeners: set[Listener] = set()
        self._watched: Counter[Address] = Counter()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        client_id = f"emoshift-dashboard-{secrets.token_hex(4)}"
        self._connection = BackgroundConnection(
            Broker.from_settings(broker, client_id=client_id, table="broker"),
            on_event=self._handle,
            log=LOG,
        )

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._connection.online

    def start(self) -> None:
        """Begin to listen; needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._connection.start()

    def stop(self) -> None:
        """Stop listening."""
        self._connection.stop()

    def retain(self, known: AbstractSet[Address]) -> set[Address]:
        """Drop devices that the history has forgotten, and return those that are new here."""
        for address in self.devices.keys() - known:
            del self.devices[address]
            self.refused.pop(address, None)
            self._dispatch(HubEvent(kind="device", address=address))
        return known - self.devices.keys()

    def correct(self, known: Iterable[StoredDevice]) -> None:
        """Believe of each device's status what the history does, whatever number is known here."""
        for device in known:
            if (state := self.devices.get(device.address)) is None:
                continue
            state = replace(state, status=None)
            if device.status is not None:
                state = _restored(state, Kind.STATUS, device.status)
            self.devices[device.address] = state
            self._dispatch(HubEvent(kind="device", address=device.address))

    def restore(self, known: Iterable[StoredDevice]) -> None:
        """Begin with what the history knows of devices; what the broker says replaces it."""
        for device in known:
            state = self.devices.setdefault(device.address, DeviceState(address=device.address))
            for kind, body in (
                (Kind.STATUS, device.status),
                (Kind.INFO, device.info),
                (Kind.HEALTH, device.health),
            ):
                if body is not None:
                    state = _restored(state, kind, body)
            self.devices[device.address] = state

    @contextlib.contextmanager
    def listen(self, address: Address | None) -> Iterator[Listener]:
        """Hear of one device, its events included, or of the state of all."""
        listener = Listener(address)
        self._listeners.add(listener)
        if address is not None:
            self._watched[address] += 1
            if self._watched[address] == 1:
                self._connection.subscribe(address.topic(Kind.TRANSITION))
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if address is not None:
                self._watched[address] -= 1
                if not self._watched[address]:
                    del self._watched[address]
                    self._connection.unsubscribe(address.topic(Kind.TRANSITION))

    def _topics(self) -> list[str]:
        state = [f"{ROOT}/+/+/{kind}" for kind in _STATE]
        return state + [address.topic(Kind.TRANSITION) for address in list(self._watched)]

    # -- on the connection's thread

    def _handle(self, event: ConnectionEvent) -> None:
        match event:
            case Received():
                self._deliver(event)
            case Connected():
                self._connection.subscribe(*self._topics())
                self._soon(self._dispatch_link)
            case Lost():
                self._soon(self._dispatch_link)
            case Subscribed():  # pages read the history again: what came before was not received
                self._soon(self._resync_waiting)
            case Acknowledged():
                pass

    def _deliver(self, delivery: Received) -> None:
        received_ms = time.time_ns() // 1_000_000
        if not delivery.payload:
            return
        try:
            message = read_message(delivery.topic, delivery.payload, received_ms=received_ms)
        except MessageError as why:
            if why.address is not None:
                self._soon(self._refuse, why.address)
            return
        self._soon(self.apply, message, delivery.retained)

    def _soon(self, call: Any, *values: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # the loop closed just now
                self._loop.call_soon_threadsafe(call, *values)

    # -- on the event loop

    def _refuse(self, address: Address) -> None:
        if address in self.devices:
            self.refused[address] += 1
            self._dispatch(HubEvent(kind="device", address=address))

    def apply(self, message: Message, retained: bool) -> None:
        """Fold one message into what is known, and pass it to whoever listens."""
        address, body = message.address, message.body
        known = self.devices.get(address)
        if known is None:
            return
        self.devices[address] = fold(known, message, arrived_ms=steady_ms(), retained=retained)
        if not isinstance(body, Transition):
            self._dispatch(
                HubEvent(kind="device", address=address, received_ms=message.received_ms)
            )
        elif self._new(body.event_id):
            self._dispatch(
                HubEvent(
                    kind="transition",
                    address=address,
                    transition=body,
                    received_ms=message.received_ms,
                )
            )

    def _new(self, event_id: str) -> bool:
        if event_id in self._seen:
            return False
        self._seen[event_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def _dispatch(self, event: HubEvent) -> None:
        for listener in self._listeners:
            if listener.address == event.address or (
                listener.address is None and event.kind == "device"
            ):
                listener.queue_event(event)

    def _dispatch_link(self) -> None:
        for listener in self._listeners:
            listener.waits = True
            listener.queue_event(HubEvent(kind="link"))

    def _resync_waiting(self) -> None:
        for listener in self._listeners:
            if listener.waits:
                listener.waits = False
                listener.queue_event(HubEvent(kind="resync"))


def _restored(state: DeviceState, kind: Kind, body: dict[str, Any]) -> DeviceState:
    now_ms = time.time_ns() // 1_000_000
    payload = json.dumps(body).encode()
    try:
        message = read_message(state.address.topic(kind), payload, received_ms=now_ms)
    except MessageError:  # stored by a version with another schema
        return state
    return fold(state, message, arrived_ms=steady_ms(), retained=True)


def onset_ms(event: HubEvent) -> int:
    """Return where an event belongs in time: its onset, or its arrival where no clock is set."""
    body = event.transition
    if body is None:
        return event.received_ms
    if body.clock_synced:
        return to_ms(body.onset)
    return event.received_ms - (to_ms(body.decided) - to_ms(body.onset))

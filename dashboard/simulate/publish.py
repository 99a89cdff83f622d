"""Publishes what simulated classrooms say: the demonstration's devices and the load generator."""

from __future__ import annotations

import heapq
import logging
import random
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emoshift.errors import UnavailableError, UsageError
from emoshift.mqtt.connection import Acknowledged, Connected, Lost, OutgoingMessage
from emoshift.mqtt.paho import Broker, PahoConnection
from emoshift.mqtt.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from dashboard.simulate.classroom import Classroom, Outgoing
    from emoshift.mqtt.connection import ConnectionEvent
    from emoshift.settings import BrokerSettings

MAX_WAITING: Final = 2000
"""Events that may wait for the broker's acknowledgement; a generator that runs ahead pauses."""

_CLASS_S: Final = 2.0
_HEALTH_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishingLoad:
    """How much is published.

    Attributes:
        rate: Transitions a second, all devices together.
        class_s: Time between two class summaries of a device.
        health_s: Time between two health messages of a device.
        duration_s: How long; ``None`` until stopped.
        events: Most transitions; ``None`` for any number.
    """

    rate: float
    class_s: float = _CLASS_S
    health_s: float = _HEALTH_S
    duration_s: float | None = None
    events: int | None = None


@dataclass(slots=True, kw_only=True)
class PublishTotals:
    """What was published.

    Attributes:
        transitions: Transitions handed to the client.
        acknowledged: Messages of QoS 1 that the broker has confirmed.
        seconds: How long it took.
    """

    transitions: int = 0
    acknowledged: int = 0
    seconds: float = 0.0


class _Publisher:
    """A connection that sends in order, and sends again what no broker has confirmed."""

    def __init__(self, broker: Broker, will: Outgoing | None) -> None:
        last_will = None if will is None else _message(will)
        self._connection = ReconnectingConnection(
            lambda protocol: PahoConnection(broker, protocol=protocol, will=last_will),
            address=broker.address,
        )
        self._address = broker.address
        self._queue: deque[OutgoingMessage] = deque()
        self._in_flight: dict[int, OutgoingMessage] = {}
        self._window = 0
        self.confirmed = 0

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent or confirmed."""
        return len(self._queue) + len(self._in_flight)

    def put(self, message: Outgoing) -> None:
        """Send a message when there is room."""
        self._queue.append(_message(message))

    def connect(self) -> None:
        """Wait until the broker accepts us.

        Raises:
            UnavailableError: It does not; says why.
        """
        while not self._connection.online:
            for event in self._turn(0.1):
                if isinstance(event, Lost) and self._connection.notice_level >= logging.WARNING:
                    raise UnavailableError(
                        f"broker {self._address}: {event.detail}; start one, or give --broker"
                    )

    def turn(self) -> None:
        """Read what has come, and send what there is room for."""
        self._turn(0.0)
        while self._connection.online and self._queue and len(self._in_flight) < self._window:
            message = self._queue.popleft()
            token = self._connection.send(message)
            if message.qos:
                self._in_flight[token] = message

    def close(self) -> None:
        """Say goodbye."""
        self._connection.close()

    def _turn(self, timeout_s: float) -> Sequence[ConnectionEvent]:
        events = self._connection.turn(timeout_s)
        for event in events:
            if isinstance(event, Connected):
                self._window = event.window
                self._queue.extendleft(reversed(self._in_flight.values()))
                self._in_flight.clear()
            elif isinstance(event, Acknowledged):
                self.confirmed += self._in_flight.pop(event.token, None) is not None
        return events


def _message(outgoing: Outgoing) -> OutgoingMessage:
    return OutgoingMessage(
        topic=outgoing.topic,
        payload=outgoing.payload.decode(),
        qos=outgoing.qos,
        retain=outgoing.retain,
    )


class Simulator:
    """Devices that share a few connections, each publishing its own events."""

    def __init__(
        self, broker: BrokerSettings, rooms: Sequence[Classroom], *, connections: int | None = None
    ) -> None:
        self._rooms = rooms
        count = connections or (len(rooms) if len(rooms) <= 16 else 4)
        self._publishers = [
            _Publisher(
                Broker.from_settings(
                    broker, client_id=f"emoshift-simulator-{secrets.token_hex(4)}", table="broker"
                ),
                rooms[number].status("offline") if count == len(rooms) else None,
            )
            for number in range(count)
        ]
        self._totals = PublishTotals()

    def run(self, load: PublishingLoad, stop: threading.Event) -> PublishTotals:
        """Publish until the load is sent or ``stop`` is set; devices then say that they stop.

        Raises:
            UnavailableError: The broker does not answer.
            UsageError: There are transitions to send, and no room whose camera works.
        """
        if load.events and not any(room.sees for room in self._rooms):
            raise UsageError(
                "no simulated camera works, so nothing changes; give more --devices, another --seed"
            )
        for publisher in self._publishers:
            publisher.connect()
        began_s = time.monotonic()
        try:
            self._introduce()
            self._publish_events(load, stop, began_s)
            self._wait_for_acknowledgements(stop)
        finally:
            self._totals.seconds = time.monotonic() - began_s
            self._totals.acknowledged = sum(p.confirmed for p in self._publishers)
            for publisher in self._publishers:
                publisher.close()
        return self._totals

    @property
    def _waiting(self) -> int:
        return sum(publisher.waiting for publisher in self._publishers)

    def _turn(self) -> None:
        for publisher in self._publishers:
            publisher.turn()

    def _publish(self, room: int, message: Outgoing) -> None:
        self._publishers[room % len(self._publishers)].put(message)

    def _introduce(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for number, room in enumerate(self._rooms):
            self._publish(number, room.info())
            self._publish(number, room.status("online"))
            self._publish(number, room.health(now_ms))
            self._publish(number, room.summary(now_ms))

    def _publish_events(self, load: PublishingLoad, stop: threading.Event, began_s: float) -> None:
        """Keep to the rate by the clock: what is late is sent at once."""
        chance = random.Random(1)
        rooms = len(self._rooms)
        watching = [number for number, room in enumerate(self._rooms) if room.sees]
        plan = [(load.class_s * n / rooms, n, "class") for n in range(rooms)]
        plan += [(load.health_s * n / rooms, n, "health") for n in range(rooms)]
        heapq.heapify(plan)
        until_s = float("inf") if load.duration_s is None else load.duration_s
        most = float("inf") if load.events is None else load.events
        while not stop.is_set() and self._totals.transitions < most:
            passed_s = time.monotonic() - began_s
            if passed_s >= until_s:
                break
            now_ms = time.time_ns() // 1_000_000
            due = min(passed_s * load.rate, most) - self._totals.transitions
            if self._waiting > MAX_WAITING or not watching:
                due = 0
            for _ in range(int(due)):
                room = chance.choice(watching)
                self._publish(room, self._rooms[room].change(now_ms))
                self._totals.transitions += 1
            while plan[0][0] <= passed_s:
                at_s, room, what = heapq.heappop(plan)
                room_now = self._rooms[room]
                self._publish(
                    room, room_now.summary(now_ms) if what == "class" else room_now.health(now_ms)
                )
                every_s = load.class_s if what == "class" else load.health_s
                heapq.heappush(plan, (at_s + every_s, room, what))
            self._turn()
            stop.wait(0.001 if self._waiting else 0.005)

    def _wait_for_acknowledgements(self, stop: threading.Event) -> None:
        """Say goodbye and wait until the broker has confirmed everything."""
        for number, room in enumerate(self._rooms):
            self._publish(number, room.status("stopped"))
        until_s = time.monotonic() + 30
        while self._waiting and time.monotonic() < until_s:
            if stop.is_set():
                until_s = min(until_s, time.monotonic() + 2)
            self._turn()
            time.sleep(0.001)

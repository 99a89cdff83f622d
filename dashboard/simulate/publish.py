"""Publishes what simulated classrooms tell: the demonstration's devices and the load generator."""

from __future__ import annotations

import heapq
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from dashboard.errors import UnavailableError

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from dashboard.config import Broker
    from dashboard.simulate.classroom import Classroom, Outgoing

MAX_WAITING: Final = 2000
"""Events that may wait for the broker's acknowledgement; a generator that runs ahead pauses."""

_CLASS_S: Final = 2.0
_HEALTH_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
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
class Told:
    """What was published.

    Attributes:
        transitions: Transitions handed to the client.
        acknowledged: Messages of QoS 1 that the broker has confirmed.
        seconds: How long it took.
    """

    transitions: int = 0
    acknowledged: int = 0
    seconds: float = 0.0


class Simulator:
    """Devices that share a few connections, each telling its own story."""

    def __init__(
        self, broker: Broker, rooms: Sequence[Classroom], *, connections: int | None = None
    ) -> None:
        self._broker = broker
        self._rooms = rooms
        count = connections or (len(rooms) if len(rooms) <= 16 else 4)
        self._clients = [self._make_client(number) for number in range(count)]
        self._told = Told()
        self._sent = 0

    def _make_client(self, number: int) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"emoshift-simulator-{random.getrandbits(32):08x}-{number}",
            protocol=paho.MQTTv311,
        )
        client.max_inflight_messages_set(MAX_WAITING)
        client.max_queued_messages_set(0)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.read_password())
        if self._broker.secure:
            authority = self._broker.ca_file
            client.tls_set(None if authority is None else str(authority))
        client.on_publish = self._confirmed
        return client

    def _confirmed(
        self, _client: object, _data: object, _mid: int, _code: object, _p: object
    ) -> None:
        self._told.acknowledged += 1

    def run(self, load: Load, stop: threading.Event) -> Told:
        """Publish until the load is told or ``stop`` is set; devices then say that they stop.

        Raises:
            UnavailableError: The broker does not answer.
        """
        for number, client in enumerate(self._clients):
            if len(self._clients) == len(self._rooms):
                will = self._rooms[number].status("offline")
                client.will_set(will.topic, will.payload, qos=1, retain=True)
            self._connect(client)
        began_s = time.monotonic()
        try:
            self._introduce()
            self._tell_stories(load, stop, began_s)
            self._settle(stop)
        finally:
            self._told.seconds = time.monotonic() - began_s
            for client in self._clients:
                client.disconnect()
                client.loop_stop()
        return self._told

    def _connect(self, client: paho.Client) -> None:
        port = self._broker.effective_port
        try:
            client.connect(self._broker.host, port, keepalive=60)
        except OSError as why:
            raise UnavailableError(
                f"broker {self._broker.host}:{port}: {why}; start one, or give --mqtt-host"
            ) from why
        client.loop_start()

    def _client(self, room: int) -> paho.Client:
        return self._clients[room % len(self._clients)]

    def _publish(self, room: int, message: Outgoing) -> None:
        self._client(room).publish(
            message.topic, message.payload, qos=message.qos, retain=message.retain
        )
        self._sent += message.qos

    def _introduce(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for number, room in enumerate(self._rooms):
            self._publish(number, room.info())
            self._publish(number, room.status("online"))
            self._publish(number, room.health(now_ms))
            self._publish(number, room.summary(now_ms))

    def _tell_stories(self, load: Load, stop: threading.Event, began_s: float) -> None:
        """Keep to the rate by the clock: what is late is told at once."""
        chance = random.Random(1)
        rooms = len(self._rooms)
        plan = [(load.class_s * n / rooms, n, "class") for n in range(rooms)]
        plan += [(load.health_s * n / rooms, n, "health") for n in range(rooms)]
        heapq.heapify(plan)
        until_s = float("inf") if load.duration_s is None else load.duration_s
        most = float("inf") if load.events is None else load.events
        while not stop.is_set() and self._told.transitions < most:
            passed_s = time.monotonic() - began_s
            if passed_s >= until_s:
                break
            now_ms = time.time_ns() // 1_000_000
            due = min(passed_s * load.rate, most) - self._told.transitions
            if self._sent - self._told.acknowledged > MAX_WAITING:
                due = 0
            for _ in range(int(due)):
                room = chance.randrange(rooms)
                if self._rooms[room].sees:
                    self._publish(room, self._rooms[room].change(now_ms))
                self._told.transitions += 1
            while plan[0][0] <= passed_s:
                at_s, room, what = heapq.heappop(plan)
                told = self._rooms[room]
                self._publish(
                    room, told.summary(now_ms) if what == "class" else told.health(now_ms)
                )
                every_s = load.class_s if what == "class" else load.health_s
                heapq.heappush(plan, (at_s + every_s, room, what))
            stop.wait(0.005)

    def _settle(self, stop: threading.Event) -> None:
        """Say goodbye and wait until the broker has confirmed everything."""
        for number, room in enumerate(self._rooms):
            self._publish(number, room.status("stopped"))
        until_s = time.monotonic() + 30
        while self._told.acknowledged < self._sent and time.monotonic() < until_s:
            if stop.is_set():
                until_s = min(until_s, time.monotonic() + 2)
            time.sleep(0.01)

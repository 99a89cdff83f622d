"""A connection to a broker that a thread of its own keeps up and reads."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from emoshift.mqtt.paho import PahoConnection
from emoshift.mqtt.reconnecting import ReconnectingConnection
from emoshift.mqtt.wakeup import Wakeup

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable

    from emoshift.mqtt.connection import ConnectionEvent, OutgoingMessage
    from emoshift.mqtt.paho import Broker

_TURN_S: Final = 0.5
_STOP_S: Final = 5.0


class BackgroundConnection:
    """Reads in the background; every method but `start` and `stop` may be called by any thread.

    Args:
        broker: Whom to connect to.
        on_event: Called on the connection's thread with everything that happens.
        log: Where to say that the connection came or went.
        session_expiry_s: How long the broker keeps the session, and what was not acknowledged,
            while we are away; 0 keeps nothing.
        persistent: Whether a broker of MQTT 3.1.1, which knows no expiry, keeps it too.
        receive_maximum: Most messages that the broker may send without an acknowledgement;
            ``None`` acknowledges each as it is received.
        is_full: Whether nothing more can be taken now. Then nothing is read, for Mosquitto 2.0
            keeps to ``receive_maximum`` until the first acknowledgement only.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        on_event: Callable[[ConnectionEvent], None],
        log: logging.Logger,
        session_expiry_s: int = 0,
        persistent: bool = False,
        receive_maximum: int | None = None,
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        def connect(protocol: str) -> PahoConnection:
            return PahoConnection(
                broker,
                protocol=protocol,
                session_expiry_s=session_expiry_s,
                persistent=persistent,
                receive_maximum=receive_maximum,
                is_full=is_full,
                wakeup=self._wakeup,
            )

        self._on_event = on_event
        self._wakeup = Wakeup()
        self._connection = ReconnectingConnection(
            connect, address=broker.address, log=log, wakeup=self._wakeup
        )
        self._calls: deque[Callable[[], None]] = deque()
        self._stop = threading.Event()
        name = f"mqtt-{broker.client_id}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def online(self) -> bool:
        """Whether the broker is there now."""
        return self._connection.online

    def start(self) -> None:
        """Connect, and keep connected."""
        self._wakeup.open()
        self._thread.start()

    def stop(self) -> None:
        """Acknowledge what is left and disconnect; the broker keeps the session if asked to."""
        self._stop.set()
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_STOP_S)

    def subscribe(self, *topics: str) -> None:
        """Subscribe to more topics, on this connection."""
        self._soon(lambda: self._connection.subscribe(*topics))

    def unsubscribe(self, *topics: str) -> None:
        """End subscriptions."""
        self._soon(lambda: self._connection.unsubscribe(*topics))

    def send(self, message: OutgoingMessage) -> None:
        """Send a message; it is dropped while the broker is away."""

        def send() -> None:
            self._connection.send(message)

        self._soon(send)

    def acknowledge(self, tokens: Iterable[int]) -> None:
        """Tell the broker that these are safe; those of an earlier connection are ignored."""
        batch = tuple(tokens)

        def acknowledge() -> None:
            for token in batch:
                self._connection.acknowledge(token)

        self._soon(acknowledge)

    def reconnect(self) -> None:
        """Connect anew, so that what was not acknowledged comes again."""
        self._soon(self._connection.restart)

    def _soon(self, call: Callable[[], None]) -> None:
        self._calls.append(call)
        self._wakeup.set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._catch_up()
                for event in self._connection.turn(_TURN_S):
                    self._on_event(event)
            self._catch_up()
        finally:
            self._connection.close()
            self._wakeup.close()

    def _catch_up(self) -> None:
        """Do what other threads have asked for, in the order in which they did."""
        while self._calls:
            self._calls.popleft()()

"""The link to the broker: MQTT 5 where it is spoken, 3.1.1 otherwise, for ever reconnecting."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dashboard.wire import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from paho.mqtt.reasoncodes import ReasonCode

    from dashboard.config import Broker

LOG: Final = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 10.0
_PATIENCE_MS: Final = 500
_SILENT: Final = 2


class Token(NamedTuple):
    """Names one delivery on one connection; given back to acknowledge it."""

    generation: int
    mid: int
    qos: int


class Delivery(NamedTuple):
    """One message as the broker handed it over.

    Attributes:
        topic, payload: What it carries.
        retained: Whether it is the stored value of the topic, not a new one.
        token: To acknowledge it with.
    """

    topic: str
    payload: bytes
    retained: bool
    token: Token


class Link:
    """One client of the broker, on a thread of its own.

    Deliveries of QoS 1 are acknowledged by `acknowledge` alone; what was not is delivered again
    after a reconnect, if the session is kept.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        topics: Callable[[str], Iterable[str]],
        on_delivery: Callable[[Delivery], None],
        leave: Callable[[str], Iterable[str]] = lambda _protocol: (),
        on_state: Callable[[bool], None] = lambda _connected: None,
        on_subscribed: Callable[[], None] = lambda: None,
        keep_session_s: int = 0,
        inflight: int = 1000,
        acknowledge_at_once: bool = False,
        full: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare the link.

        Args:
            broker: Where to connect.
            client_id: Name of the session at the broker.
            topics: Given the protocol in use, ``5`` or ``3.1.1``, the filters to subscribe to.
            leave: Likewise, the filters that a kept session may have and should not.
            on_delivery: Called on the link's thread for each message.
            on_state: Called there with whether the link is up.
            on_subscribed: Called there when the broker has confirmed a subscription.
            keep_session_s: How long the broker keeps what was not delivered; 0 keeps nothing.
            inflight: Most messages that the broker may send without an acknowledgement.
            acknowledge_at_once: Whether receiving is enough.
            full: Whether nothing more can be taken now. Then nothing is read: Mosquitto 2.0 keeps
                to ``inflight`` until the first acknowledgement only.
        """
        self._broker = broker
        self._client_id = client_id
        self._topics = topics
        self._leave = leave
        self._on_delivery = on_delivery
        self._on_state = on_state
        self._on_subscribed = on_subscribed
        self._keep_session_s = keep_session_s
        self._inflight = inflight
        self._manual = not acknowledge_at_once
        self._full = full
        self._protocol = "5"
        self._generation = 0
        self._silent = 0
        self._client: Client | None = None
        self._safe: deque[Token] = deque()
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._up = threading.Event()
        self._stop = threading.Event()
        self._again = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{client_id}", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self._up.is_set()

    @property
    def protocol(self) -> str:
        """The MQTT version in use or tried next."""
        return self._protocol

    def start(self) -> None:
        """Connect, and keep connected."""
        self._bell = socket.socketpair()
        for end in self._bell:
            end.setblocking(False)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the link is up; tell whether it is."""
        return self._up.wait(timeout_s)

    def stop(self) -> None:
        """Disconnect for good; the broker keeps the session if it was asked to."""
        self._stop.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for end in self._bell or ():
            end.close()

    def reconnect(self) -> None:
        """Drop the connection and make it again, so that what was not acknowledged comes again."""
        self._again.set()
        self._wake()

    def acknowledge(self, tokens: Iterable[Token]) -> None:
        """Tell the broker that these are safe; those of a past connection are ignored."""
        self._safe.extend(tokens)
        self._wake()

    def _wake(self) -> None:
        """Let the link's thread look up: only it reads and writes."""
        if self._bell is not None:
            with contextlib.suppress(OSError):  # full or closed: nobody needs to be woken
                self._bell[1].send(b"!")

    def _send_acknowledgements(self, client: Client) -> None:
        safe = [self._safe.popleft() for _ in range(len(self._safe))]
        client.ack_all(t.mid for t in safe if t.qos and t.generation == self._generation)

    def subscribe(self, topic: str) -> None:
        """Subscribe to one more filter, on this connection."""
        if (client := self._client) is not None and self._up.is_set():
            client.subscribe(topic, qos=1)
            self._wake()

    def unsubscribe(self, topic: str) -> None:
        """End a subscription."""
        if (client := self._client) is not None and self._up.is_set():
            client.unsubscribe(topic)
            self._wake()

    def _run(self) -> None:
        wait_s, quiet = _FIRST_WAIT_S, False
        while not self._stop.is_set():
            self._generation += 1
            began_s = time.monotonic()
            why = self._one_connection()
            if self._stop.is_set():
                return
            if time.monotonic() - began_s > 5:
                wait_s, quiet = _FIRST_WAIT_S, False
            LOG.log(
                logging.DEBUG if quiet else logging.WARNING,
                "broker %s:%d: %s; trying again",
                self._broker.host,
                self._broker.effective_port,
                why,
            )
            quiet = True
            self._stop.wait(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _one_connection(self) -> str:
        """Live one connection to its end and return why it ended."""
        answer: list[ReasonCode] = []
        client = self._make_client(answer)
        try:
            client.connect(
                self._broker.host, self._broker.effective_port, keepalive=30, **self._session()
            )
        except (OSError, ValueError) as why:
            return str(why) or type(why).__name__
        client.start_reading(self._hand_on(self._generation))
        self._client = client
        self._again.clear()
        deadline_s = time.monotonic() + 10
        try:
            while not self._stop.is_set():
                code = self._turn(client)
                if code != MQTTErrorCode.MQTT_ERR_SUCCESS or client.socket() is None:
                    break
                if self._again.is_set():
                    return "asked to connect again"
                if not answer and time.monotonic() > deadline_s:
                    break
        finally:
            was_up = self._up.is_set()
            self._up.clear()
            self._client = None
            self._part(client)
            if was_up:
                self._on_state(False)
        return self._explain(answer, was_up=was_up)

    def _turn(self, client: Client) -> MQTTErrorCode:
        """Wait for something to read or to write, and do it."""
        if self._safe:
            self._send_acknowledgements(client)
        link, bell = client.socket(), self._bell
        if link is None or bell is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        waiting = select.poll()  # select() knows only the first 1,024 files of a busy server
        waiting.register(bell[0], select.POLLIN)
        paused = self._up.is_set() and self._full()
        reading = 0 if paused else select.POLLIN
        writing = select.POLLOUT if client.want_write() else 0
        waiting.register(link, reading | writing)
        ready = dict(waiting.poll(0 if client.more and not paused else _PATIENCE_MS))
        if bell[0].fileno() in ready:
            with contextlib.suppress(OSError):
                bell[0].recv(4096)
        found = ready.get(link.fileno(), 0)
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        if (client.more and not paused) or found & ~select.POLLOUT:
            code = client.loop_read()
        if found & select.POLLOUT and code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            code = client.loop_write()
        return code or client.loop_misc()

    def _part(self, client: Client) -> None:
        """Say what is left to say, and goodbye."""
        with contextlib.suppress(OSError, ValueError):
            self._send_acknowledgements(client)
            client.disconnect()
            until_s = time.monotonic() + 1
            while client.want_write() and client.socket() is not None:
                if client.loop_write() or time.monotonic() > until_s:
                    break
        client.close()

    def _hand_on(self, generation: int) -> Callable[[str, bytes, bool, int, int], None]:
        def take(topic: str, payload: bytes, retained: bool, mid: int, qos: int) -> None:
            token = Token(generation, mid, qos)
            self._on_delivery(Delivery(topic, payload, retained, token))
            if not self._manual:
                self._safe.append(token)

        return take

    def _explain(self, answer: list[ReasonCode], *, was_up: bool) -> str:
        if was_up:
            self._silent = 0
            return "link lost"
        refused = answer[0].value if answer else None
        # Some old brokers say so, some hang up; one that is just ending hangs up as well.
        self._silent = 0 if answer else self._silent + 1
        if self._protocol == "5" and (refused in {1, 0x84} or self._silent == _SILENT):
            self._protocol, self._silent = "3.1.1", 0
            return "does not speak MQTT 5"
        if answer or self._silent >= _SILENT:
            self._protocol = "5"
        return f"refuses: {answer[0]}" if answer else "did not answer"

    def _make_client(self, answer: list[ReasonCode]) -> Client:
        five = self._protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=paho.MQTTv5 if five else paho.MQTTv311,
            clean_session=None if five else self._keep_session_s == 0,
            reconnect_on_failure=False,
        )
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.read_password())
        if self._broker.secure:
            authority = None if self._broker.ca_file is None else str(self._broker.ca_file)
            client.tls_set_context(ssl.create_default_context(cafile=authority))

        def connected(
            _client: object, _data: object, _flags: object, code: ReasonCode, _p: object
        ) -> None:
            answer.append(code)
            if code.is_failure:
                return
            if leave := list(self._leave(self._protocol)):
                client.unsubscribe(leave)
            filters = [(topic, 1) for topic in self._topics(self._protocol)]
            if filters:
                client.subscribe(filters)
            LOG.info("broker %s: connected, MQTT %s", self._broker.host, self._protocol)
            self._up.set()
            self._on_state(True)

        client.on_connect = connected
        client.on_subscribe = lambda *_: self._on_subscribed()
        # So that nobody but the link's thread writes, whoever subscribes.
        client.on_socket_register_write = lambda *_: self._wake()
        return client

    def _session(self) -> dict[str, Any]:
        if self._protocol != "5":
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._keep_session_s
        properties.ReceiveMaximum = self._inflight
        return {"clean_start": self._keep_session_s == 0, "properties": properties}

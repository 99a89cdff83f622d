"""The adapter to paho-mqtt: the only module that names it."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from paho.mqtt import MQTTException
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from emoshift.errors import ConfigError
from emoshift.mqtt.connection import (
    Acknowledged,
    Connected,
    ConnectionEvent,
    Failure,
    Lost,
    OutgoingMessage,
    Received,
    Subscribed,
)
from emoshift.text_files import read_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import ConnectFlags, DisconnectFlags
    from paho.mqtt.reasoncodes import ReasonCode

    from emoshift.mqtt.wakeup import Wakeup
    from emoshift.settings import BrokerSettings

CONNECT_TIMEOUT_S: Final = 4.0
"""For the TCP connection and the TLS handshake."""
WINDOW: Final = 20
"""Messages unacknowledged at a time: Mosquitto's own default."""
LARGEST_BYTES: Final = 64 * 1024
"""Nothing this package sends comes near; of a larger message only the beginning is read."""
LARGEST_PACKET: Final = LARGEST_BYTES + (1 << 16) + 64
"""The largest topic and properties besides. A broker of MQTT 5 is asked to send nothing larger."""

PROTOCOLS: Final = ("5", "3.1.1")

_UNREADABLE: Final = (MQTTException, ValueError, TypeError, LookupError, struct.error)
"""What paho's reader lets through when the other end sends what is not MQTT."""

_PACKETS: Final = 1000
"""Most packets read in one turn, so that acknowledgements are not kept waiting."""
_MIDS: Final = 1 << 16
_NUMBERS: Final = itertools.count(1)
"""Tells the connections of this process apart: packet numbers begin anew with each."""

_NO_SUBSCRIBERS: Final = 0x10
_FAILURES: Final = {
    0x01: Failure.PROTOCOL,  # MQTT 3.1.1 return codes 1 to 5, where a broker answers in them
    0x02: Failure.IDENTITY,
    0x03: Failure.UNAVAILABLE,
    0x04: Failure.CREDENTIALS,
    0x05: Failure.CREDENTIALS,
    0x80: Failure.UNAVAILABLE,
    0x81: Failure.MISUNDERSTOOD,
    0x82: Failure.MISUNDERSTOOD,
    0x83: Failure.UNAVAILABLE,
    0x84: Failure.PROTOCOL,
    0x85: Failure.IDENTITY,
    0x86: Failure.CREDENTIALS,
    0x87: Failure.CREDENTIALS,
    0x88: Failure.UNAVAILABLE,
    0x89: Failure.UNAVAILABLE,
    0x8A: Failure.FORBIDDEN,
    0x8B: Failure.UNAVAILABLE,
    0x8C: Failure.AUTHENTICATION,
    0x8D: Failure.KEEPALIVE,
    0x8E: Failure.TAKEN_OVER,
    0x8F: Failure.SUBSCRIPTION,
    0x90: Failure.PAYLOAD,
    0x93: Failure.TOO_OFTEN,
    0x94: Failure.MISUNDERSTOOD,
    0x95: Failure.TOO_LARGE,
    0x96: Failure.TOO_OFTEN,
    0x97: Failure.QUOTA,
    0x98: Failure.ADMINISTRATOR,
    0x99: Failure.PAYLOAD,
    0x9A: Failure.NO_RETAIN,
    0x9B: Failure.NO_QOS,
    0x9C: Failure.MOVED,
    0x9D: Failure.MOVED,
    0x9E: Failure.SUBSCRIPTION,
    0x9F: Failure.TOO_OFTEN,
    0xA0: Failure.ADMINISTRATOR,
    0xA1: Failure.SUBSCRIPTION,
    0xA2: Failure.SUBSCRIPTION,
}
"""Every reason code of MQTT 5 that a CONNACK or DISCONNECT may carry."""
_OF_MESSAGE: Final = frozenset({0x81, 0x82, 0x87, 0x90, 0x95, 0x97, 0x99})
"""With these a broker may end a connection because of a message that it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """How to reach a broker.

    Attributes:
        host, port: Where it listens.
        username: ``None`` to connect without a name.
        password_file: File whose first line is the password.
        password: Used where no file is given.
        tls: The TLS settings, or ``None`` for a plain connection.
        keepalive_s: Time between signs of life.
        client_id: Who we are; empty lets the broker, or `emoshift.subscriber.listen`, choose.
    """

    host: str
    port: int = 1883
    username: str | None = None
    password_file: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 30
    client_id: str = ""

    @classmethod
    def from_settings(
        cls, settings: BrokerSettings, *, client_id: str, table: str = "mqtt"
    ) -> Broker:
        """Prepare the connection; files are read now, so that a wrong one is found at once.

        Args:
            settings: The table.
            client_id: Who we are.
            table: What the table is called, for messages.

        Raises:
            ConfigError: A file is missing or is not what it should be.
        """
        tls = _tls(settings, table) if settings.uses_tls else None
        file = settings.password_file
        broker = cls(
            host=settings.host,
            port=settings.broker_port,
            username=settings.username,
            password_file=None if file is None else _expanded(file),
            password=None if settings.password is None else settings.password.get_secret_value(),
            tls=tls,
            keepalive_s=settings.keepalive_s,
            client_id=client_id,
        )
        try:
            broker.read_password()
        except (OSError, ValueError) as why:
            reason = why.strerror if isinstance(why, OSError) else why
            raise ConfigError(
                f"{table}.password_file", [f"{broker.password_file}: cannot be read: {reason}"]
            ) from why
        return broker

    @property
    def address(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}"

    def read_password(self) -> str | None:
        """Read the password anew, so that a changed file works without a restart."""
        if self.password_file is None:
            return self.password
        return read_secret(Path(self.password_file))


class _BoundedClient(Client):
    """A client that never holds more than `LARGEST_PACKET` of a packet: the rest is thrown away.

    paho asks the system for a whole packet at once, and for memory to put it in. What is cut here
    is refused as too large by whoever reads it, and acknowledged, so that it does not come again.
    """

    _skip = 0

    def _sock_recv(self, bufsize: int) -> bytes:
        packet = self._in_packet
        while self._skip and packet["command"] == 0:  # before the next packet
            thrown = super()._sock_recv(min(self._skip, LARGEST_BYTES))
            if not thrown:
                return thrown
            self._skip -= len(thrown)
        if packet["have_remaining"] and packet["remaining_length"] > LARGEST_PACKET:
            self._skip = packet["remaining_length"] - LARGEST_PACKET
            packet["remaining_length"] = packet["to_process"] = bufsize = LARGEST_PACKET
        return super()._sock_recv(bufsize)

    def _sock_send(self, buf: bytes | bytearray) -> int:
        """Write; where the other end is gone, leave it to the next read to say so.

        paho would close the connection, and with it throw away what the broker had sent before:
        messages, or why it ends the connection.
        """
        try:
            return super()._sock_send(buf)
        except (BrokenPipeError, ConnectionResetError) as why:
            raise BlockingIOError from why


class PahoConnection:
    """One connection through paho, driven by whoever calls `turn`.

    Every connection gets a client of its own: paho's queue of earlier messages would otherwise be
    sent again beside ours, out of order.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        protocol: str,
        will: OutgoingMessage | None = None,
        session_expiry_s: int = 0,
        persistent: bool = False,
        receive_maximum: int | None = None,
        is_full: Callable[[], bool] = lambda: False,
        wakeup: Wakeup | None = None,
    ) -> None:
        """Prepare a connection.

        Args:
            broker: Whom to connect to.
            protocol: One of `PROTOCOLS`.
            will: What the broker publishes when we vanish.
            session_expiry_s: How long the broker keeps what we subscribed to, and queues it, while
                we are away; MQTT 5 only.
            persistent: Whether a broker of MQTT 3.1.1 keeps the session too: it knows no expiry,
                so only a client with a stable id should ask for that.
            receive_maximum: Most received messages that may wait for `acknowledge`; ``None``
                acknowledges each as it is received.
            is_full: Whether nothing more can be taken now; then nothing is read.
            wakeup: Ends a turn early.
        """
        self._session_expiry_s = session_expiry_s
        self._receive_maximum = receive_maximum
        self._is_full = is_full
        self._wakeup = wakeup
        self._number = next(_NUMBERS)
        self._broker = broker
        self._protocol = protocol
        self._five = protocol == "5"
        self._events: list[ConnectionEvent] = []
        self._over = False
        self._connected = False
        self._more = False
        self._retain = True
        self._max_qos = 1
        self._asked: dict[int, tuple[str, ...]] = {}
        self._client = _BoundedClient(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self._five else not persistent,
            reconnect_on_failure=False,
            manual_ack=receive_maximum is not None,
        )
        client = self._client
        client.max_inflight_messages_set(0)  # the publisher keeps its own window
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)

    def open(self) -> None:
        """Connect; blocks for the TCP connection and the TLS handshake, no longer than 4 s each."""
        try:
            password = self._broker.read_password()
        except (OSError, ValueError) as why:
            reason = why.strerror if isinstance(why, OSError) else why
            self._lose(Failure.CREDENTIALS, f"{self._broker.password_file}: {reason}")
            return
        try:
            self._client.username_pw_set(self._broker.username, password)
            self._client.connect(
                self._broker.host,
                self._broker.port,
                keepalive=self._broker.keepalive_s,
                clean_start=self._session_expiry_s == 0
                if self._five
                else MQTT_CLEAN_START_FIRST_ONLY,
                properties=self._connect_properties(),
            )
        except ssl.SSLError as why:
            self._lose(Failure.TLS, why.reason or str(why))
        except OSError as why:
            self._lose(Failure.UNREACHABLE, why.strerror or str(why))
        except UnicodeError as why:  # a host name that cannot be encoded
            self._lose(Failure.UNREACHABLE, str(why))

    def turn(self, timeout_s: float) -> list[ConnectionEvent]:
        """See `Connection.turn`."""
        if not self._over:
            try:
                code = self._turn(timeout_s)
            except _UNREADABLE as why:
                failure = Failure.LOST if self._connected else Failure.PROTOCOL
                self._lose(failure, f"it sends what is not MQTT ({type(why).__name__})")
                code = MQTTErrorCode.MQTT_ERR_SUCCESS
            if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._lose(self._guess(), _plain(code))
        events, self._events = self._events, []
        return events

    def _turn(self, timeout_s: float) -> MQTTErrorCode:
        """Wait for something to read or to write, and do it, as paho's own loop would.

        Its own loop reads one packet for each wait; here all that has come is read at once, which
        is what a subscriber to a whole school needs.
        """
        client, sock = self._client, self._client.socket()
        if sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        reading = not (self._connected and self._is_full())
        waiting = select.poll()  # select() knows only the first 1,024 files of a busy server
        waiting.register(
            sock,
            (select.POLLIN if reading else 0) | (select.POLLOUT if client.want_write() else 0),
        )
        if self._wakeup is not None:
            waiting.register(self._wakeup, select.POLLIN)
        more = reading and (self._more or _holds_decrypted(sock))
        ready = dict(waiting.poll(0 if more else timeout_s * 1000))
        found = ready.get(sock.fileno(), 0)
        if self._wakeup is not None and self._wakeup.fileno() in ready:
            self._wakeup.clear()
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        if more or found & ~select.POLLOUT:
            code = self._read_all()
        if found & select.POLLOUT and code is MQTTErrorCode.MQTT_ERR_SUCCESS:
            code = client.loop_write()
        return code or client.loop_misc()

    def _read_all(self) -> MQTTErrorCode:
        """Read packets until there are none, or enough for one turn."""
        for _ in range(_PACKETS):
            before = len(self._events)
            code = self._client.loop_read()
            if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or self._client.socket() is None:
                return code
            if len(self._events) == before:  # nothing whole was left
                self._more = False
                return code
        self._more = True
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def send(self, message: OutgoingMessage) -> int:
        """See `Connection.send`."""
        properties = None
        if self._five and message.expiry_s is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho's
            properties.MessageExpiryInterval = message.expiry_s
        info: MQTTMessageInfo = self._client.publish(
            message.topic,
            message.payload,
            qos=min(message.qos, self._max_qos),
            retain=message.retain and self._retain,
            properties=properties,
        )
        return info.mid

    def subscribe(self, *topics: str) -> None:
        """See `Connection.subscribe`."""
        _, mid = self._client.subscribe([(topic, 1) for topic in topics])
        if mid is not None:
            self._asked[mid] = topics

    def unsubscribe(self, *topics: str) -> None:
        """See `Connection.unsubscribe`."""
        self._client.unsubscribe(list(topics))

    def acknowledge(self, token: int) -> None:
        """See `Connection.acknowledge`."""
        number, mid = divmod(token, _MIDS)
        if mid and number == self._number and not self._over:
            self._client.ack(mid, 1)

    def close(self) -> None:
        """See `Connection.close`."""
        if not self._over:
            self._over = True
            self._client.disconnect()
            with contextlib.suppress(*_UNREADABLE):
                for _ in range(50):  # up to a second for what is still to be written
                    if self._turn(0.02) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                        break
        self.drop()

    def drop(self) -> None:
        """See `Connection.drop`."""
        self._over = True
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _connect_properties(self) -> Properties | None:
        """None unless needed: a 3.1.1 broker that misreads them may wait for ever, not refuse."""
        if not self._five or (self._session_expiry_s == 0 and self._receive_maximum is None):
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
        properties.SessionExpiryInterval = self._session_expiry_s
        properties.MaximumPacketSize = LARGEST_PACKET
        if self._receive_maximum is not None:
            properties.ReceiveMaximum = self._receive_maximum
        return properties

    def _guess(self) -> Failure:
        """Name a loss nobody explained; a broker may refuse MQTT 5 by just hanging up."""
        return Failure.LOST if self._connected else Failure.HUNG_UP

    def _lose(self, failure: Failure, detail: str, *, of_message: bool = False) -> None:
        if not self._over:
            self._over = True
            self._events.append(Lost(failure=failure, detail=detail, of_message=of_message))

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._lose(_FAILURES.get(reason.value, Failure.UNAVAILABLE), str(reason))
            return
        self._connected = True
        self._retain = bool(getattr(properties, "RetainAvailable", 1))
        self._max_qos = min(1, int(getattr(properties, "MaximumQoS", 1)))
        largest = getattr(properties, "MaximumPacketSize", None)
        self._events.append(
            Connected(
                protocol=self._protocol,
                window=min(WINDOW, int(getattr(properties, "ReceiveMaximum", WINDOW))),
                retain=self._retain,
                max_qos=self._max_qos,
                largest_bytes=None if largest is None else int(largest),
            )
        )

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            failure = _FAILURES.get(reason.value, Failure.LOST)
            self._lose(failure, str(reason), of_message=reason.value in _OF_MESSAGE)
        else:
            self._lose(self._guess(), "closed by the broker or the network")

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        token: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        refused = str(reason) if reason.is_failure else None
        unheard = reason.value == _NO_SUBSCRIBERS
        self._events.append(Acknowledged(token=token, refused=refused, unheard=unheard))

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        kept = self._receive_maximum is not None and message.qos == 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # no topic of anybody's; kept, so that it can be acknowledged
        self._events.append(
            Received(
                topic=topic,
                payload=bytes(message.payload[:LARGEST_BYTES]),
                retained=message.retain,
                token=self._number * _MIDS + message.mid if kept else 0,
            )
        )

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        topics = self._asked.pop(mid, ())
        refused = tuple(
            (topic, str(reason))
            for topic, reason in zip(topics, reasons, strict=False)
            if reason.is_failure
        )
        self._events.append(Subscribed(refused=refused))


def _holds_decrypted(sock: object) -> bool:
    """Whether TLS has read more from the network than was read from it, which no poll shows."""
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def _plain(code: MQTTErrorCode) -> str:
    return code.name.removeprefix("MQTT_ERR_").replace("_", " ").lower()


def _expanded(path: Path) -> str:
    """Put the folder of systemd's credentials in place of its variable."""
    return os.path.expandvars(path)


def _tls(settings: BrokerSettings, table: str) -> ssl.SSLContext:
    authority = None if settings.ca_file is None else _expanded(settings.ca_file)
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as why:
        raise ConfigError(
            f"{table}.ca_file", [f"{settings.ca_file}: no certificates in it: {why}"]
        ) from why
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file is not None and settings.key_file is not None:
        try:
            context.load_cert_chain(_expanded(settings.cert_file), _expanded(settings.key_file))
        except (OSError, ssl.SSLError) as why:
            detail = f"{settings.cert_file} with {settings.key_file}: unusable: {why}"
            raise ConfigError(f"{table}.cert_file", [detail]) from why
    return context

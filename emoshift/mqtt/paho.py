"""The adapter to paho-mqtt: the only module that names it."""

from __future__ import annotations

import os
import ssl
import struct
from dataclasses import dataclass
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
    Failure,
    LinkEvent,
    Lost,
    Message,
    Received,
)

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.client import ConnectFlags, DisconnectFlags
    from paho.mqtt.reasoncodes import ReasonCode

    from edge.config import Mqtt

CONNECT_TIMEOUT_S: Final = 4.0
"""For the TCP connection and the TLS handshake."""
WINDOW: Final = 20
"""Messages unacknowledged at a time: Mosquitto's own default."""
LARGEST_BYTES: Final = 64 * 1024
"""Larger messages are not read: nothing this package sends comes near."""

PROTOCOLS: Final = ("5", "3.1.1")

_UNREADABLE: Final = (MQTTException, ValueError, TypeError, LookupError, struct.error)
"""What paho's reader lets through when the other end sends what is not MQTT."""

_NO_SUBSCRIBERS: Final = 0x10
_FAILURES: Final = {
    0x01: Failure.PROTOCOL,  # MQTT 3.1.1 return codes 1 to 5, where a broker answers in them
    0x02: Failure.IDENTITY,
    0x03: Failure.UNAVAILABLE,
    0x04: Failure.CREDENTIALS,
    0x05: Failure.CREDENTIALS,
    0x84: Failure.PROTOCOL,
    0x85: Failure.IDENTITY,
    0x86: Failure.CREDENTIALS,
    0x87: Failure.CREDENTIALS,
    0x88: Failure.UNAVAILABLE,
    0x89: Failure.UNAVAILABLE,
    0x8A: Failure.CREDENTIALS,
    0x8B: Failure.UNAVAILABLE,
    0x8C: Failure.CREDENTIALS,
    0x8E: Failure.TAKEN_OVER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """How to reach the broker.

    Attributes:
        host, port: Where it listens.
        username: ``None`` to connect without a name.
        password_file: File whose first line is the password.
        password: Used where no file is given.
        tls: The TLS settings, or ``None`` for a plain connection.
        keepalive_s: Time between signs of life.
        client_id: Who we are.
    """

    host: str
    port: int
    username: str | None
    password_file: str | None
    password: str | None
    tls: ssl.SSLContext | None
    keepalive_s: int
    client_id: str

    @classmethod
    def from_config(cls, mqtt: Mqtt, *, client_id: str) -> Broker:
        """Prepare the connection; files are read now, so that a wrong one is found at once.

        Raises:
            ConfigError: A file is missing or is not what it should be.
        """
        tls = None
        if mqtt.tls or mqtt.ca_file or mqtt.cert_file:
            tls = _tls(mqtt)
        password_file = None if mqtt.password_file is None else _expanded(mqtt.password_file)
        broker = cls(
            host=mqtt.host,
            port=mqtt.port or (1883 if tls is None else 8883),
            username=mqtt.username,
            password_file=password_file,
            password=None if mqtt.password is None else mqtt.password.get_secret_value(),
            tls=tls,
            keepalive_s=mqtt.keepalive_s,
            client_id=client_id,
        )
        try:
            broker.read_password()
        except OSError as why:
            raise ConfigError(
                "mqtt.password_file", [f"{password_file}: cannot be read: {why.strerror}"]
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
        with open(self.password_file, encoding="utf-8") as file:  # noqa: PTH123 - a text, not a Path
            return file.readline().rstrip("\r\n")


class PahoLink:
    """One connection through paho, driven by whoever calls `turn`.

    Every connection gets a client of its own: paho's queue of earlier messages would otherwise be
    sent again beside ours, out of order.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        protocol: str,
        will: Message | None = None,
        session_expiry_s: int = 0,
    ) -> None:
        """Prepare a connection.

        Args:
            broker: Whom to connect to.
            protocol: One of `PROTOCOLS`.
            will: What the broker publishes when we vanish.
            session_expiry_s: How long the broker keeps what we subscribed to, and queues it, while
                we are away; MQTT 5 only.
        """
        self._session_expiry_s = session_expiry_s
        self._broker = broker
        self._protocol = protocol
        self._five = protocol == "5"
        self._events: list[LinkEvent] = []
        self._over = False
        self._connected = False
        self._retain = True
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self._five else True,
            reconnect_on_failure=False,
        )
        client = self._client
        client.max_inflight_messages_set(0)  # the publisher keeps its own window
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)

    def open(self) -> None:
        """Connect; blocks for the TCP connection and the TLS handshake, no longer than 4 s each."""
        try:
            self._client.username_pw_set(self._broker.username, self._broker.read_password())
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

    def turn(self, timeout_s: float) -> list[LinkEvent]:
        """See `Link.turn`."""
        if not self._over:
            try:
                code = self._client.loop(timeout_s)
            except _UNREADABLE as why:
                failure = Failure.LOST if self._connected else Failure.PROTOCOL
                self._lose(failure, f"it sends what is not MQTT ({type(why).__name__})")
                code = MQTTErrorCode.MQTT_ERR_SUCCESS
            if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._lose(self._guess(), _plain(code))
        events, self._events = self._events, []
        return events

    def send(self, message: Message) -> int:
        """See `Link.send`."""
        properties = None
        if self._five and message.expiry_s is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho's
            properties.MessageExpiryInterval = message.expiry_s
        info: MQTTMessageInfo = self._client.publish(
            message.topic,
            message.payload,
            qos=message.qos,
            retain=message.retain and self._retain,
            properties=properties,
        )
        return info.mid

    def subscribe(self, topic: str) -> None:
        """See `Link.subscribe`."""
        self._client.subscribe(topic, qos=1)

    def close(self) -> None:
        """See `Link.close`."""
        if not self._over:
            self._over = True
            self._client.disconnect()
            for _ in range(50):  # up to a second for what is still to be written
                if self._client.loop(0.02) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
        self.drop()

    def drop(self) -> None:
        """See `Link.drop`."""
        self._over = True
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _connect_properties(self) -> Properties | None:
        """None unless needed: a 3.1.1 broker that misreads them may wait for ever, not refuse."""
        if not self._five or self._session_expiry_s == 0:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
        properties.SessionExpiryInterval = self._session_expiry_s
        return properties

    def _guess(self) -> Failure:
        """Name a loss nobody explained; a broker may refuse MQTT 5 by just hanging up."""
        return Failure.LOST if self._connected else Failure.HUNG_UP

    def _lose(self, failure: Failure, detail: str) -> None:
        if not self._over:
            self._over = True
            self._events.append(Lost(failure=failure, detail=detail))

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
        window = min(WINDOW, int(getattr(properties, "ReceiveMaximum", WINDOW)))
        self._events.append(Connected(protocol=self._protocol, window=window))

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._lose(_FAILURES.get(reason.value, Failure.LOST), str(reason))
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
        if len(message.payload) <= LARGEST_BYTES:
            self._events.append(
                Received(
                    topic=message.topic, payload=bytes(message.payload), retained=message.retain
                )
            )


def _plain(code: MQTTErrorCode) -> str:
    return code.name.removeprefix("MQTT_ERR_").replace("_", " ").lower()


def _expanded(path: Path) -> str:
    """Put the folder of systemd's credentials in place of its variable."""
    return os.path.expandvars(path)


def _tls(mqtt: Mqtt) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=None if mqtt.ca_file is None else _expanded(mqtt.ca_file)
        )
    except (OSError, ssl.SSLError) as why:
        raise ConfigError(
            "mqtt.ca_file", [f"{mqtt.ca_file}: no certificates in it: {why}"]
        ) from why
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if mqtt.cert_file is not None and mqtt.key_file is not None:
        try:
            context.load_cert_chain(_expanded(mqtt.cert_file), _expanded(mqtt.key_file))
        except (OSError, ssl.SSLError) as why:
            raise ConfigError(
                "mqtt.cert_file", [f"{mqtt.cert_file} with {mqtt.key_file}: unusable: {why}"]
            ) from why
    return context

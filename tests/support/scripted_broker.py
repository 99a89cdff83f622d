"""A broker of MQTT 5 that answers as a test asks it to: any reason code, any limit."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14


@dataclass(kw_only=True)
class Rules:
    """How the broker behaves.

    Attributes:
        connack: Reason code for a CONNECT with these flags.
        properties: Of the CONNACK, encoded.
        puback: Reason code for a message; 256 and more ends the connection with code - 256.
        suback: Reason code of every subscription.
        largest: Longer packets end the connection with 0x95.
    """

    connack: Callable[[int], int] = lambda _flags: 0
    properties: bytes = b""
    puback: Callable[[str, bytes], int] = lambda _topic, _payload: 0
    suback: int = 1
    largest: int = 1 << 20


@dataclass
class ScriptedBroker:
    """Serves one connection at a time on a port of its own.

    Attributes:
        taken: Topic and payload of every message that was taken.
        offered: How often each payload of an event was offered.
        connects: CONNECT packets so far.
    """

    rules: Rules
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    offered: list[bytes] = field(default_factory=list)
    connects: int = 0

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(timeout=10.0)

    def events(self) -> list[bytes]:
        """The events that were taken."""
        return [payload for topic, payload in list(self.taken) if topic.endswith("/transition")]

    def _serve(self) -> None:
        while True:
            try:
                end, _ = self._server.accept()
            except OSError:
                return
            end.settimeout(20.0)
            with end, contextlib.suppress(OSError, EOFError):
                while self._answer(end):
                    pass

    def _answer(self, end: socket.socket) -> bool:
        head = _exactly(end, 1)[0]
        body = _exactly(end, _length(end))
        kind = head >> 4
        if len(body) + 5 > self.rules.largest:
            return self._end(end, 0x95)
        if kind == CONNECT:
            self.connects += 1
            reason = self.rules.connack(body[7])
            properties = b"" if reason else self.rules.properties
            payload = bytes([0, reason, len(properties)]) + properties
            end.sendall(bytes([0x20, len(payload)]) + payload)
            return reason == 0
        if kind == PUBLISH:
            return self._take(end, head, body)
        if kind == SUBSCRIBE:
            count = _topics(body)
            answer = body[:2] + b"\0" + bytes([self.rules.suback]) * count
            end.sendall(bytes([0x90, len(answer)]) + answer)
        if kind == PINGREQ:
            end.sendall(b"\xd0\0")
        return kind != DISCONNECT

    def _take(self, end: socket.socket, head: int, body: bytes) -> bool:
        size = struct.unpack_from(">H", body)[0]
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        qos = head >> 1 & 3
        packet, rest = (rest[:2], rest[2:]) if qos else (b"", rest)
        payload = rest[1 + rest[0] :]  # behind the properties, which are short
        if topic.endswith("/transition"):
            self.offered.append(payload)
        reason = self.rules.puback(topic, payload)
        if reason >= 256:
            return self._end(end, reason - 256)
        if reason < 0x80:
            self.taken.append((topic, payload))
        if qos:
            end.sendall(b"\x40\x03" + packet + bytes([reason]))
        return True

    def _end(self, end: socket.socket, reason: int) -> bool:
        """Say why, and see that it arrives: closing with something unread would throw it away."""
        end.sendall(bytes([0xE0, 2, reason, 0]))
        end.shutdown(socket.SHUT_WR)
        while end.recv(4096):
            pass
        return False


def _exactly(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = end.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _length(end: socket.socket) -> int:
    value, shift = 0, 0
    while True:
        byte = _exactly(end, 1)[0]
        value |= (byte & 127) << shift
        if byte < 128:
            return value
        shift += 7


def _topics(body: bytes) -> int:
    at, count = 3 + body[2], 0
    while at < len(body):
        at += 3 + struct.unpack_from(">H", body, at)[0]
        count += 1
    return count

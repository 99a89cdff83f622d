"""Prepared events, sent as fast as the broker confirms them: a load that costs next to nothing."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Final

from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboard.simulate.classroom import Outgoing
    from emoshift.settings import BrokerSettings

WINDOW: Final = 1000
"""Events that may wait for the broker's confirmation."""

_PUBLISH_QOS_1: Final = 0x32
_PUBACK_BYTES: Final = 4
_CONNACK_BYTES: Final = 4
_ACCEPTED: Final = b"\x20\x02\x00\x00"
_AT_ONCE: Final = 100
_SILENT_S: Final = 60.0


def prepare(messages: Sequence[Outgoing]) -> list[bytes]:
    """Write messages as MQTT 3.1.1 packets of QoS 1, ready to be sent."""
    return [
        _packet(_PUBLISH_QOS_1, _text(m.topic) + struct.pack("!H", 1 + n % 0xFFFF) + m.payload)
        for n, m in enumerate(messages)
    ]


def send(broker: BrokerSettings, packets: Sequence[bytes]) -> float:
    """Send prepared packets over one connection until all are confirmed; return the seconds.

    Raises:
        UnavailableError: The broker does not answer, refuses, or stops confirming.
    """
    where = f"broker {broker.host}:{broker.broker_port}"
    try:
        link = socket.create_connection((broker.host, broker.broker_port), timeout=_SILENT_S)
    except OSError as why:
        raise UnavailableError(f"{where}: {why}; start one, or give --broker") from why
    with link:
        hello = _text("MQTT") + b"\x04\x02" + struct.pack("!H", 0) + _text("emoshift-volley")
        link.sendall(_packet(0x10, hello))
        if link.recv(_CONNACK_BYTES) != _ACCEPTED:
            raise UnavailableError(f"{where}: refuses a load without a user name")
        began_s = time.monotonic()
        sent = confirmed_bytes = 0
        while (confirmed := confirmed_bytes // _PUBACK_BYTES) < len(packets):
            room = min(WINDOW - (sent - confirmed), _AT_ONCE)
            if room > 0 and sent < len(packets):
                link.sendall(b"".join(packets[sent : sent + room]))
                sent = min(sent + room, len(packets))
                wait_s = 0.0
            else:
                wait_s = _SILENT_S
            if select.select([link], [], [], wait_s)[0]:
                confirmed_bytes += len(link.recv(65536))
            elif wait_s:
                raise UnavailableError(f"{where}: confirms nothing any more")
        return time.monotonic() - began_s


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body

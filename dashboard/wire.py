"""paho's client with a quicker way in and out: thousands of messages a second on one thread.

paho reads each packet with four calls of the system and builds a dozen objects for it, and sends
each acknowledgement with two. Here what has come is read at once, messages are taken apart without
ceremony, and acknowledgements go out together; connecting, subscribing and pinging stay paho's.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PUBLISH: Final = 0x30
_PUBACK: Final = 0x40
_READ_BYTES: Final = 65536
_READS: Final = 16
_ACK: Final = struct.Struct("!BBH")
_OK: Final = MQTTErrorCode.MQTT_ERR_SUCCESS


class Client(paho.Client):
    """A client whose messages go to `take`; its owner calls the ``loop_`` methods.

    Attributes:
        take: Called with topic, payload, whether it was retained, packet number and QoS.
        more: Whether the last read stopped before all was read.
    """

    take: Callable[[str, bytes, bool, int, int], None]
    more: bool = False
    _got: bytearray

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:  # noqa: ARG002 - paho's signature
        """Read what has come, and hand on every message that is whole."""
        self.more = False
        for _ in range(_READS):
            try:
                data = self._sock_recv(_READ_BYTES)
            except BlockingIOError:
                return _OK
            except OSError:
                data = b""
            code = MQTTErrorCode.MQTT_ERR_CONN_LOST
            if data:
                self._got += data
                try:
                    code = self._hand_on()
                except IndexError:
                    code = MQTTErrorCode.MQTT_ERR_PROTOCOL
            if code != _OK:
                return self._loop_rc_handle(code)
            if self._sock is None:
                return MQTTErrorCode.MQTT_ERR_NO_CONN
        self.more = True
        return _OK

    def start_reading(self, take: Callable[[str, bytes, bool, int, int], None]) -> None:
        """Begin a connection's messages."""
        self.take, self._got, self.more = take, bytearray(), False

    def close(self) -> None:
        """Close the connection, however it stands."""
        self._sock_close()

    def _hand_on(self) -> MQTTErrorCode:
        got, at, size = self._got, 0, len(self._got)
        code = _OK
        while at + 2 <= size and code == _OK:
            head, length, shift, start = got[at], 0, 0, at + 1
            while start < size:  # the length, seven bits a byte
                digit = got[start]
                length |= (digit & 0x7F) << shift
                start, shift = start + 1, shift + 7
                if not digit & 0x80:
                    break
            else:
                break
            if shift > 28:
                return MQTTErrorCode.MQTT_ERR_PROTOCOL
            end = start + length
            if end > size:
                break
            if head & 0xF0 == _PUBLISH:
                self._message(head, bytes(got[start:end]))
            else:
                code = self._other(head, got[start:end])
            at = end
        del got[:at]
        return code

    def _message(self, head: int, body: bytes) -> None:
        end = 2 + (body[0] << 8 | body[1])
        topic = body[2:end].decode("utf-8", "replace")
        qos, mid = head >> 1 & 3, 0
        if qos:
            mid, end = body[end] << 8 | body[end + 1], end + 2
        if self._protocol == paho.MQTTv5:  # properties, of which none concerns a subscriber here
            length = shift = 0
            while True:
                digit = body[end]
                length |= (digit & 0x7F) << shift
                end, shift = end + 1, shift + 7
                if not digit & 0x80:
                    break
            end += length
        self.take(topic, body[end:], bool(head & 1), mid, qos)

    def _other(self, head: int, body: bytearray) -> MQTTErrorCode:
        self._in_packet = {
            "command": head,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(body),
            "packet": body,
            "to_process": 0,
            "pos": 0,
        }
        return self._packet_handle()

    def ack_all(self, mids: Iterable[int]) -> None:
        """Acknowledge messages of QoS 1, all in one write."""
        packets = b"".join([_ACK.pack(_PUBACK, 2, mid) for mid in mids])
        if packets:
            self._packet_queue(_PUBACK, packets, 0, 0)

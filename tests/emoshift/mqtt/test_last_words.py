"""What a broker has sent before it dies is received."""

from __future__ import annotations

import socket
import struct

from emoshift.mqtt.connection import (
    Connected,
    ConnectionEvent,
    Failure,
    Lost,
    OutgoingMessage,
    Received,
)
from emoshift.mqtt.paho import Broker, PahoConnection

CONNACK = b"\x20\x03\x00\x00\x00"
MESSAGES = 50


def message(number: int) -> bytes:
    """A PUBLISH packet of MQTT 5 that wants to be acknowledged."""
    body = b"\x00\x01t" + struct.pack(">H", number) + b"\x00" + str(number).encode()
    return bytes([0x32, len(body)]) + body


def test_why_a_broker_ends_the_connection() -> None:
    """What is sent to nobody does not hide the reason that the broker has given."""
    events: list[ConnectionEvent] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = Broker(host="127.0.0.1", port=server.getsockname()[1], client_id="device")
        connection = PahoConnection(broker, protocol="5")
        connection.open()
        end, _ = server.accept()
        with end:
            end.sendall(CONNACK)
            while not events:
                events += connection.turn(0.1)
            end.sendall(b"\xe0\x02\x95\x00")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(3):
            connection.send(OutgoingMessage(topic="t", payload="late", qos=1, retain=False))
        while not any(isinstance(event, Lost) for event in events):
            events += connection.turn(0.1)
    connection.drop()
    assert events[1:] == [
        Lost(failure=Failure.TOO_LARGE, detail="Packet too large", of_message=True)
    ]


def test_messages_of_a_broker_that_was_killed() -> None:
    """Acknowledging to nobody fails; the messages behind that one are received all the same."""
    events: list[ConnectionEvent] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = Broker(host="127.0.0.1", port=server.getsockname()[1], client_id="ear")
        connection = PahoConnection(broker, protocol="5")
        connection.open()
        end, _ = server.accept()
        with end:
            end.sendall(CONNACK + b"".join(message(n) for n in range(1, MESSAGES + 1)))
            # A killed process with something unread resets its connections, as this does.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while not any(isinstance(event, Lost) for event in events):
            events += connection.turn(0.1)
    connection.drop()
    assert isinstance(events[0], Connected)
    received = [int(event.payload) for event in events if isinstance(event, Received)]
    assert received == [*range(1, MESSAGES + 1)]
    assert isinstance(events[-1], Lost)

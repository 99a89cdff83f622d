"""The connection in the background: every message whole, however cut; no flood, nothing lost."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from emoshift.mqtt.background import BackgroundConnection
from emoshift.mqtt.connection import Connected, ConnectionEvent, Received, Subscribed
from emoshift.mqtt.paho import Broker
from tests.support.brokers import MOSQUITTO, BrokerProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger(__name__)
ACCEPTED = b"\x20\x03\x00\x00\x00"
needs_mosquitto = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="needs Mosquitto: amqtt speaks no MQTT 5"),
]


def published(topic: str, payload: bytes, mid: int) -> bytes:
    """An MQTT 5 message of QoS 1 with a property (its expiry) that no reader here needs."""
    body = struct.pack("!H", len(topic)) + topic.encode() + struct.pack("!H", mid)
    body += b"\x05\x02" + struct.pack("!I", 60) + payload
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return b"\x32" + length + body


class Reader:
    """A connection in the background, and all it has read."""

    def __init__(self, broker: Broker, topic: str = "", **options: object) -> None:
        self.got: list[Received] = []
        self.full = threading.Event()
        self.subscribed = threading.Event()
        self._topic = topic
        self.connection = BackgroundConnection(
            broker, on_event=self._handle, log=LOG, is_full=self.full.is_set, **options
        )

    def _handle(self, event: ConnectionEvent) -> None:
        match event:
            case Received():
                self.got.append(event)
            case Connected() if self._topic:
                self.connection.subscribe(self._topic)
            case Subscribed():
                self.subscribed.set()
            case _:
                pass

    def await_answer(self) -> None:
        """Wait until the broker has read all that was sent: it answers in order."""
        self.subscribed.clear()
        self.connection.subscribe("emoshift/answered")
        assert self.subscribed.wait(30)

    def reconnect(self) -> None:
        """Connect anew, and wait until that is done."""
        self.subscribed.clear()
        self.connection.reconnect()
        assert self.subscribed.wait(30)

    def acknowledge(self, start: int = 0) -> int:
        """Acknowledge what has come since a place; returns the next place."""
        fresh = self.got[start:]
        self.connection.acknowledge([received.token for received in fresh])
        return start + len(fresh)


def publish(port: int, count: int) -> None:
    """Publish numbered messages, and wait until the broker has them."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [client.publish("emoshift/test", str(n), qos=1) for n in range(count)]
    for message in sent:
        message.wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("step", [1, 7, 1000, 1_000_000])
@pytest.mark.parametrize("manual", [False, True])
def test_however_it_is_cut(step: int, *, manual: bool) -> None:
    """Messages arrive whole and in order, whatever pieces the network makes of them."""
    wanted = [(f"emoshift/v1/a/b/{n}", b"x" * size) for n, size in enumerate((0, 5, 130, 17_000))]
    stream = b"".join(published(*message, mid) for mid, message in enumerate(wanted, start=1))
    acknowledged = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(ACCEPTED)
                for at in range(0, len(stream), step):
                    peer.sendall(stream[at : at + step])
                while data := peer.recv(4096):
                    acknowledged.extend(data)

        thread = threading.Thread(target=serve)
        thread.start()
        reader = Reader(
            Broker(host="127.0.0.1", port=server.getsockname()[1], client_id="cut"),
            receive_maximum=100 if manual else None,
        )
        reader.connection.start()
        wait_until(lambda: len(reader.got) == len(wanted))
        acks = b"".join(struct.pack("!BBH", 0x40, 2, mid) for mid in range(1, 5))
        if manual:
            assert acks not in acknowledged
            reader.acknowledge()
        wait_until(lambda: acks in acknowledged)
        reader.connection.stop()
        thread.join(timeout=10)
    assert [(r.topic, r.payload) for r in reader.got] == wanted


@pytest.mark.parametrize("stalled", [False, True])
def test_a_wait_ends_when_asked(*, stalled: bool) -> None:
    """A stop is heard at once, between two attempts as on a connection that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not stalled:
            server.close()
        reader = Reader(Broker(host="127.0.0.1", port=port, client_id="ended"))
        reader.connection.start()
        reader.connection.stop()
    assert threading.active_count() == len(threading.enumerate())
    assert not [t for t in threading.enumerate() if t.name == "mqtt-ended"]


class TestMosquitto:
    """Against a real broker of MQTT 5."""

    pytestmark = needs_mosquitto

    def test_a_full_reader_is_not_flooded(self, tmp_path: Path) -> None:
        """What cannot be taken stays with the broker, acknowledged or not, and comes later."""
        settings = "max_queued_messages 0\n"
        with BrokerProcess(tmp_path, settings=settings) as broker:
            where = Broker(host="127.0.0.1", port=broker.port, client_id="full")
            reader = Reader(where, "emoshift/#", session_expiry_s=60, receive_maximum=1000)
            reader.connection.start()
            assert reader.subscribed.wait(30)
            reader.full.set()
            publish(broker.port, 3000)
            held, done = len(reader.got), 0
            reader.full.clear()
            reader.connection.acknowledge([])

            def all_came() -> bool:
                nonlocal done
                done = reader.acknowledge(done)
                return len(reader.got) == 3000

            wait_until(all_came, 30)
            reader.connection.stop()
        assert held < 3000
        assert [r.payload for r in reader.got] == [b"%d" % n for n in range(3000)]

    def test_what_was_not_acknowledged_comes_again(self, tmp_path: Path) -> None:
        """After a reconnect the session brings what nobody has acknowledged, and only that."""
        with BrokerProcess(tmp_path) as broker:
            where = Broker(host="127.0.0.1", port=broker.port, client_id="again")
            reader = Reader(where, "emoshift/#", session_expiry_s=60, receive_maximum=100)
            reader.connection.start()
            assert reader.subscribed.wait(30)
            publish(broker.port, 10)
            wait_until(lambda: len(reader.got) == 10)
            first = list(reader.got)
            reader.connection.acknowledge([r.token for r in first[:4]])
            reader.await_answer()
            reader.reconnect()
            wait_until(lambda: len(reader.got) == 16)
            reader.connection.acknowledge([r.token for r in first])  # of the lost connection
            assert [r.payload for r in reader.got[10:]] == [r.payload for r in first[4:]]
            reader.acknowledge(10)
            reader.await_answer()
            reader.reconnect()
            publish(broker.port, 1)
            wait_until(lambda: len(reader.got) > 16)
            reader.connection.stop()
        assert [r.payload for r in reader.got[16:]] == [b"0"]

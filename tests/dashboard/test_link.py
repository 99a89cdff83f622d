"""The link to the broker: every message whole, however cut; no flood that nobody can take."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from dashboard.config import Broker
from dashboard.mqtt import Link
from dashboard.simulate.classroom import Classroom
from dashboard.simulate.volley import prepare, send
from emoshift.topics import Address
from tests.support.dashboard import NOW_MS
from tests.support.waiting import wait_until

ACCEPTED = b"\x20\x03\x00\x00\x00"


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


@pytest.mark.parametrize("step", [1, 7, 1000, 1_000_000])
def test_however_it_is_cut(step):
    """Messages arrive whole and in order, whatever pieces the network makes of them."""
    wanted = [(f"emoshift/v1/a/b/{n}", b"x" * size) for n, size in enumerate((0, 5, 130, 17_000))]
    stream = b"".join(published(*message, mid) for mid, message in enumerate(wanted, start=1))
    got: list[tuple[str, bytes]] = []
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
        link = Link(
            Broker(host="127.0.0.1", port=server.getsockname()[1]),
            client_id="cut",
            topics=lambda _: [],
            on_delivery=lambda d: got.append((d.topic, d.payload)),
            acknowledge_at_once=True,
        )
        link.start()
        wait_until(lambda: len(got) == len(wanted))
        acks = b"".join(struct.pack("!BBH", 0x40, 2, mid) for mid in range(1, 5))
        wait_until(lambda: acks in acknowledged)
        link.stop()
        thread.join(timeout=10)
    assert got == wanted


@pytest.mark.broker
def test_a_full_reader_is_not_flooded(mqtt):
    """What cannot be taken stays with the broker, acknowledged or not, and comes later."""
    got, full = [], threading.Event()
    broker = Broker(host="127.0.0.1", port=mqtt)
    link = Link(
        broker,
        client_id="full",
        topics=lambda _: ["emoshift/#"],
        on_delivery=got.append,
        keep_session_s=60,
        full=full.is_set,
    )
    link.start()
    assert link.wait(30)
    full.set()
    classroom = Classroom(Address("school", "room-1"), seed=1)
    send(broker, prepare([classroom.change(NOW_MS) for _ in range(3000)]))
    held = len(got)
    full.clear()
    link.acknowledge([])
    done = 0

    def all_came() -> bool:
        nonlocal done
        fresh = got[done:]
        link.acknowledge([delivery.token for delivery in fresh])
        done += len(fresh)
        return len(got) == 3000

    wait_until(all_came)
    link.stop()
    assert held < 3000

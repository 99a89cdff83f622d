"""From the outbox over a real broker to a real subscriber, through every kind of trouble."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.brokers import BadWire, BrokerProcess, free_port
from tests.support.events import changes
from tests.support.publishing import Listening, Running, make_config
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge.outbox.store import Outbox

pytestmark = pytest.mark.broker


def named(count: int) -> list[str]:
    """The tracks of so many events."""
    return [f"t{i}" for i in range(count)]


def number(track: str) -> int:
    """The number in a name that `named` gives."""
    return int(track[1:])


def test_events_arrive_in_order(tmp_path: Path, broker: BrokerProcess, outbox: Outbox) -> None:
    """What is put arrives, each once, in order, and leaves the outbox."""
    with Listening(broker.port) as ear:
        with Running(make_config(tmp_path, broker.port), grace_s=10.0):
            for start in range(0, 100, 10):
                outbox.append(changes(10, start=start))
            wait_until(lambda: len(ear.tracks) >= 100)
            wait_until(lambda: outbox.stats().depth == 0)
        wait_until(lambda: ear.states == ["online", "stopped"])
    assert ear.tracks == named(100)
    assert ear.gaps == []


def test_broker_killed_in_mid_stream(tmp_path: Path, broker: BrokerProcess, outbox: Outbox) -> None:
    """A broker killed and restarted, twice, loses no event and repeats none.

    What it had taken and not yet passed on dies with it: the subscriber tells the gap, asks again
    and gets it late. All else comes in order.
    """
    with (
        Listening(broker.port) as ear,
        Running(make_config(tmp_path, broker.port), grace_s=10.0) as publisher,
    ):
        for start in range(0, 300, 10):
            outbox.append(changes(10, start=start))
            if start in (100, 200):
                wait_until(lambda before=start: len(ear.tracks) > before - 100)
                broker.kill()
                wait_until(lambda: publisher.state != "online")
                broker.start()
        wait_until(lambda: len(ear.tracks) >= 300)
    assert sorted(ear.tracks, key=number) == named(300)
    assert ear.on_time == sorted(ear.on_time, key=number)
    assert ear.late == sum(gap.count for gap in ear.gaps)


def test_connections_cut_in_mid_acknowledgement(
    tmp_path: Path, broker: BrokerProcess, outbox: Outbox
) -> None:
    """However few bytes of the acknowledgements come back, no event is lost or sent twice."""
    cuts = random.Random(7)
    with (
        BadWire(broker.port) as wire,
        Listening(broker.port) as ear,
        Running(make_config(tmp_path, wire.port), grace_s=10.0),
    ):
        for start in range(0, 210, 35):  # each batch is cut, and followed by a new connection
            before = wire.connections
            wire.cut_after(cuts.randrange(1, 60))
            outbox.append(changes(35, start=start))
            wait_until(lambda seen=before: wire.connections > max(seen, 1), 30.0)
        wait_until(lambda: outbox.stats().depth == 0, 40.0)
        wait_until(lambda: len(ear.tracks) >= 210)
        assert wire.connections > 5
    assert ear.tracks == named(210)
    assert ear.gaps == []


def test_no_broker_at_all(tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """Without a broker events wait, it is said once, and all arrive when one comes."""
    caplog.set_level(logging.DEBUG)
    kept = socket.socket()  # bound and deaf: it refuses whoever calls, and nobody else gets it
    kept.bind(("127.0.0.1", 0))
    nobody = kept.getsockname()[1]
    outbox.append(changes(30))
    with Running(make_config(tmp_path, nobody), grace_s=10.0):
        wait_until(lambda: caplog.text.count("next attempt") >= 3)
        (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "check the broker's host" in warning.message
        assert outbox.stats().depth == 30
        with BrokerProcess(tmp_path / "broker") as broker, Listening(broker.port) as ear:
            kept.close()
            with BadWire(broker.port, own_port=nobody):
                wait_until(lambda: len(ear.tracks) >= 30)
            assert ear.tracks == named(30)


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_the_protocol_is_found(
    tmp_path: Path, kind: str, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """MQTT 5 where the broker speaks it, 3.1.1 where it does not, and the log says which."""
    caplog.set_level(logging.INFO)
    if kind == "mosquitto" and BrokerProcess(tmp_path / "probe").kind != kind:
        pytest.skip("needs Mosquitto: sudo apt install mosquitto")
    with (
        BrokerProcess(tmp_path / "broker", kind=kind) as broker,
        Running(make_config(tmp_path, broker.port), grace_s=10.0),
        Listening(broker.port) as ear,
    ):
        outbox.append(changes(5))
        wait_until(lambda: len(ear.tracks) >= 5)
    spoken = "5" if kind == "mosquitto" else "3.1.1"
    assert f"(MQTT {spoken})" in caplog.text
    assert ear.tracks == named(5)


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_a_stop_sends_what_is_in_the_outbox(
    tmp_path: Path, kind: str, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A publisher that is stopped before it has reached its broker still sends its events."""
    caplog.set_level(logging.INFO)
    if kind == "mosquitto" and BrokerProcess(tmp_path / "probe").kind != kind:
        pytest.skip("needs Mosquitto: sudo apt install mosquitto")
    outbox.append(changes(50))
    with (
        BrokerProcess(tmp_path / "broker", kind=kind) as broker,
        Listening(broker.port) as ear,
    ):
        publisher = Running(make_config(tmp_path, broker.port), grace_s=10.0)
        publisher.stop_at_once()
        wait_until(lambda: len(ear.tracks) == 50)
    assert ear.tracks == named(50)
    assert outbox.stats().depth == 0
    assert "stopped; every event was sent" in caplog.text


def test_a_stop_without_a_broker_keeps_the_events(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A stop does not wait for ever for a broker that is away, and says what is left."""
    caplog.set_level(logging.INFO)
    outbox.append(changes(3))
    Running(make_config(tmp_path, free_port())).stop_at_once()
    assert outbox.stats().depth == 3
    assert "3 events not sent, kept in the outbox" in caplog.text


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "broker", id="a web server"),
        pytest.param(
            b"\x20\x03\x00\x00\x00\x31\x07\x00\x02\x97\x98\x00{}", "broker", id="no topic"
        ),
        pytest.param(b"\x20\x03\x00\x00\x00\x40\x01\x00", "broker", id="cut short"),
    ],
)
def test_who_speaks_no_mqtt(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture, answer: bytes, word: str
) -> None:
    """Whatever listens on the broker's port, and whatever it answers, the publisher goes on."""
    outbox.append(changes(1))

    def serve() -> None:
        while True:
            try:
                end, _ = server.accept()
            except OSError:
                return
            with end, contextlib.suppress(OSError):
                end.recv(4096)
                end.sendall(answer)
                end.shutdown(socket.SHUT_WR)
                while end.recv(4096):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with Running(make_config(tmp_path, server.getsockname()[1])) as publisher:
                wait_until(lambda: word in caplog.text)
                wait_until(lambda: publisher.state == "waiting")
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert publisher.failure is None


def test_subscriber_comes_back_after_the_publisher(
    tmp_path: Path, broker: BrokerProcess, outbox: Outbox
) -> None:
    """After a broker's death, events wait a little for the subscribers it lost."""
    if broker.kind != "mosquitto":
        pytest.skip("needs Mosquitto: sudo apt install mosquitto")
    with Running(make_config(tmp_path, broker.port), grace_s=10.0) as publisher:
        with Listening(broker.port) as ear:
            outbox.append(changes(3))
            wait_until(lambda: len(ear.tracks) == 3)
            wait_until(lambda: outbox.stats().depth == 0)
        broker.kill()
        wait_until(lambda: publisher.state != "online")
        outbox.append(changes(40, start=3))
        broker.start()
        wait_until(lambda: publisher.state == "online")
        with Listening(broker.port) as late:
            wait_until(lambda: len(late.tracks) == 40)
    assert late.tracks == named(43)[3:]
    assert late.gaps == []


def test_a_broker_that_never_answers(tmp_path: Path, broker: BrokerProcess, outbox: Outbox) -> None:
    """A wire that swallows everything delays events and loses none."""
    with (
        BadWire(broker.port) as wire,
        Listening(broker.port) as ear,
        Running(make_config(tmp_path, wire.port), grace_s=10.0) as publisher,
    ):
        wait_until(lambda: publisher.state == "online")
        wire.block()
        outbox.append(changes(50))
        wait_until(lambda: wire.held_bytes > 0)
        assert ear.tracks == []
        wire.unblock()
        wait_until(lambda: len(ear.tracks) >= 50)
    assert ear.tracks == named(50)

"""Brokers that refuse: a message, its size, a last will, a subscription. The rest still goes."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from edge.publish import delivery
from emoshift.mqtt.connection import Failure, Lost, Subscribed
from emoshift.mqtt.paho import _FAILURES, Broker, PahoConnection
from tests.faults.report import add_to_report
from tests.support.brokers import wait_until
from tests.support.events import changes
from tests.support.publishing import Running, make_config
from tests.support.scripted_broker import Rules, ScriptedBroker

if TYPE_CHECKING:
    from pathlib import Path

    from edge.outbox.store import Outbox

pytestmark = pytest.mark.broker


def track(payload: bytes) -> str:
    return json.loads(payload)["track"]


def refuse_third(code: int):
    """Refuse one event, take the others."""

    def puback(topic: str, payload: bytes) -> int:
        return code if topic.endswith("/transition") and track(payload) == "t3" else 0

    return puback


PATIENCE_S = 90.0
"""A refused event is tried again after 64 s at most."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "code",
    [
        *(pytest.param(code, id=f"PUBACK {code:#x}") for code in (0x80, 0x87, 0x90, 0x97, 0x99)),
        *(pytest.param(256 + code, id=f"DISCONNECT {code:#x}") for code in (0x95, 0x97)),
    ],
)
def test_one_event_is_refused(
    tmp_path: Path,
    outbox: Outbox,
    code: int,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is tried a few times and set aside, reported as lost and kept; all others are sent."""
    with ScriptedBroker(Rules(puback=refuse_third(code))) as broker:
        outbox.append(changes(8))
        with Running(make_config(tmp_path, broker.port)):
            wait_until(lambda: len(broker.events()) >= 7)
            for number in range(delivery.TRIES + 1):
                before = len(broker.offered)
                outbox.append(changes(1, start=100 + number))
                wait_until(lambda n=number: f"t{100 + n}" in map(track, broker.events()))
                wait_until(
                    lambda b=before: (
                        "t3" in map(track, broker.offered[b:]) or outbox.stats().set_aside
                    ),
                    PATIENCE_S,
                )
            wait_until(lambda: outbox.stats().set_aside == 1, PATIENCE_S)
    wanted = [f"t{i}" for i in (0, 1, 2, 4, 5, 6, 7, 100, 101, 102, 103)]
    assert set(map(track, broker.events())) >= set(wanted)
    assert outbox.stats().depth == 0
    (dead,) = outbox.dead()
    assert dead.row.event.track == "t3"
    assert [(x.first, x.last, x.reason) for x in outbox.losses()] == [(4, 4, "refused")]
    assert "edge outbox list" in caplog.text
    came = set(map(track, broker.events()))
    kind = f"DISCONNECT {code - 256:#x}" if code >= 256 else f"PUBACK {code:#x}"
    add_to_report(
        capsys,
        f"broker refuses one event: {kind}",
        {
            "events decided": 8 + delivery.TRIES + 1,
            "sent": len(came),
            "set aside": outbox.stats().set_aside,
            "reported as lost": sum(loss.count for loss in outbox.losses()),
            "waiting": outbox.stats().depth,
            "offered to the broker": len(broker.offered),
            "connections": broker.connects,
        },
    )


def test_an_access_list_sets_nothing_aside(tmp_path: Path, outbox: Outbox) -> None:
    """A broker that refuses every event is waited for; afterwards they are sent."""
    refusing = [True]

    def puback(topic: str, _payload: bytes) -> int:
        return 0x87 if refusing[0] and topic.endswith("/transition") else 0

    with ScriptedBroker(Rules(puback=puback)) as broker:
        outbox.append(changes(30))
        with Running(make_config(tmp_path, broker.port)) as publisher:
            wait_until(lambda: len(broker.offered) >= 3)
            assert outbox.stats().set_aside == 0
            publisher.stop()
        refusing[0] = False
        with Running(make_config(tmp_path, broker.port)):
            wait_until(lambda: len(broker.events()) >= 30)
    assert list(map(track, broker.events())) == [f"t{i}" for i in range(30)]
    assert len(broker.offered) < 100


def test_what_is_too_large_is_left_out(tmp_path: Path, outbox: Outbox) -> None:
    """The broker's largest packet is known: discovery shrinks or is left out, events are sent."""
    limit = 3000
    rules = Rules(properties=b"\x27" + struct.pack(">I", limit), largest=limit)
    config = make_config(tmp_path, 1)
    with ScriptedBroker(rules) as broker:
        config = make_config(tmp_path, broker.port)
        config = config.model_copy(
            update={"homeassistant": config.homeassistant.model_copy(update={"enabled": True})}
        )
        outbox.append(changes(17))
        with Running(config):
            wait_until(lambda: len(broker.events()) == 17)
    assert broker.connects == 1
    announced = [p for topic, p in broker.taken if topic.startswith("homeassistant/")]
    assert announced
    assert "emoshift_school_room_12_transition" in json.loads(announced[0])["components"]


def unless(flags: int, code: int, properties: bytes) -> Rules:
    """Refuse a CONNECT with these flags."""
    return Rules(connack=lambda found: code if found & flags else 0, properties=properties)


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        pytest.param(unless(0x20, 0x9A, b"\x25\x00"), "keeps no retained messages", id="no retain"),
        pytest.param(unless(0x18, 0x9B, b"\x24\x00"), "maximum QoS 0", id="no QoS"),
    ],
)
def test_a_broker_that_offers_less(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture, rules: Rules, word: str
) -> None:
    """Without retained messages, or without QoS 1, it is reached, and said what that costs."""
    outbox.append(changes(5))
    with ScriptedBroker(rules) as broker, Running(make_config(tmp_path, broker.port)):
        wait_until(lambda: len(broker.events()) == 5)
        wait_until(lambda: outbox.stats().depth == 0)
    assert word in caplog.text


def test_a_refused_subscription_is_reported(
    tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The device's own guard says that the broker does not let it read its topics."""
    outbox.append(changes(1))
    with (
        ScriptedBroker(Rules(suback=0x87)) as broker,
        Running(make_config(tmp_path, broker.port)),
    ):
        wait_until(lambda: "refuses the subscription to emoshift/v1/school" in caplog.text)


def test_a_subscriber_reads_the_answer() -> None:
    """The connection says which topic was refused, and why."""
    with ScriptedBroker(Rules(suback=0x87)) as broker:
        connection = PahoConnection(
            Broker(host="127.0.0.1", port=broker.port, client_id="x"), protocol="5"
        )
        connection.open()
        events = []
        asked = False
        while not any(isinstance(event, Subscribed) for event in events):
            events += connection.turn(0.1)
            if events and not asked:
                connection.subscribe("a/b")
                asked = True
        connection.close()
    (answer,) = [event for event in events if isinstance(event, Subscribed)]
    assert answer.refused == (("a/b", "Not authorized"),)


# Those of a CONNACK but for 0x99, which paho does not know there: it looks like a hang-up.
CODES = [*range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F]


@pytest.mark.parametrize("code", CODES, ids=hex)
def test_every_refusal_has_a_hint(code: int) -> None:
    """Each reason code of a CONNACK is reported with a hint of its own."""
    with ScriptedBroker(Rules(connack=lambda _: code)) as broker:
        connection = PahoConnection(
            Broker(host="127.0.0.1", port=broker.port, client_id="x"), protocol="5"
        )
        connection.open()
        events = []
        while not events:
            events += connection.turn(0.1)
    (lost,) = events
    assert isinstance(lost, Lost)
    assert lost.failure is _FAILURES.get(code, Failure.UNAVAILABLE)
    assert code in _FAILURES


@pytest.mark.slow
def test_a_live_event_passes_a_backlog(tmp_path: Path, outbox: Outbox) -> None:
    """A new event is sent before a backlog, and says so; the backlog follows in its order."""
    waiting = 3 * delivery.BACKLOG
    outbox.append(changes(waiting))
    with ScriptedBroker(Rules()) as broker, Running(make_config(tmp_path, broker.port)):
        wait_until(lambda: len(broker.events()) > 50)
        outbox.append(changes(1, start=waiting))
        wait_until(lambda: len(broker.events()) == waiting + 1, 120.0)
    came = [json.loads(payload) for payload in broker.events()]
    place = [event["track"] for event in came].index(f"t{waiting}")
    assert place < waiting - 100
    assert came[place]["backlog"] is True
    del came[place]
    assert [event["track"] for event in came] == [f"t{i}" for i in range(waiting)]
    assert not any("backlog" in event for event in came)

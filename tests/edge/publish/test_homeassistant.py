"""Home Assistant: announced when asked, again when it returns, and read from the contract alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jinja2
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.config import HomeAssistant
from edge.publish.homeassistant import Discovery
from emoshift.emotions import Emotion
from emoshift.messages import summarise_class
from tests.support.events import CHANGE
from tests.support.publishing import Running, make_config
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.brokers import BrokerProcess

BASE = "emoshift/v1/school/room-12"
TOPIC = "homeassistant/device/emoshift-school-room-12/config"


@pytest.fixture
def announced() -> dict[str, Any]:
    """The announcement as Home Assistant reads it."""
    discovery = Discovery(
        HomeAssistant(enabled=True), base=BASE, site="school", device="room-12", single_faces=True
    )
    message = discovery.message()
    assert (message.topic, message.retain, message.qos) == (TOPIC, True, 1)
    found: dict[str, Any] = json.loads(message.payload)
    return found


def rendered(template: str, payload: str) -> str:
    """What Home Assistant makes of a message."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - as Home Assistant does
    return environment.from_string(template).render(value_json=json.loads(payload))


def test_every_entity_is_complete(announced):
    """Each has a platform, a name of its own and a topic of the contract."""
    parts = announced["components"]
    assert len({part["unique_id"] for part in parts.values()}) == len(parts)
    for part in parts.values():
        assert part["platform"] in {"sensor", "event"}
        assert part["state_topic"].startswith(BASE)


def test_class_counts_are_read(announced):
    """A class that is shown gives numbers; one too small gives none."""
    part = announced["components"]["emoshift_school_room_12_happy"]
    at = datetime(2026, 11, 21, tzinfo=UTC)
    names = {"device": "room-12", "camera": "front", "at": at, "min_faces": 5}
    reported = summarise_class({Emotion.HAPPY: 6}, **names).to_json()
    hidden = summarise_class({Emotion.HAPPY: 2}, **names).to_json()
    assert rendered(part["value_template"], reported) == "6"
    assert rendered(part["value_template"], hidden) == "None"


@pytest.mark.parametrize("historical", [False, True])
def test_late_events_switch_nothing(announced, *, historical):
    """A transition becomes an event of its emotion; a historical one becomes nothing."""
    part = announced["components"]["emoshift_school_room_12_transition"]
    event = CHANGE.numbered("0" * 32, 1).model_copy(update={"historical": historical})
    got = rendered(part["value_template"], event.to_json())
    if historical:
        assert got.strip() == ""
    else:
        assert json.loads(got)["event_type"] in part["event_types"]


@pytest.mark.broker
@pytest.mark.usefixtures("outbox")
def test_announced_and_announced_again(tmp_path: Path, broker: BrokerProcess):
    """A switched-on device announces itself, and again when Home Assistant says it is back."""
    seen: list[tuple[str, bool]] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _d, message: seen.append((message.topic, message.retain))
    client.connect("127.0.0.1", broker.port)
    client.subscribe("homeassistant/device/#", qos=1)
    client.loop_start()
    config = make_config(tmp_path, broker.port)
    try:
        on = config.model_copy(update={"homeassistant": HomeAssistant(enabled=True)})
        with Running(on):
            wait_until(lambda: len(seen) == 1)
            client.publish("homeassistant/status", "offline", qos=1)
            client.publish("homeassistant/status", "online", qos=1)
            wait_until(lambda: len(seen) == 2)
        assert {topic for topic, _ in seen} == {TOPIC}
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.broker
@pytest.mark.usefixtures("outbox")
def test_silent_unless_asked(tmp_path: Path, broker: BrokerProcess):
    """By default nothing is said on Home Assistant's topics."""
    seen: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _d, message: seen.append(message.topic)
    client.connect("127.0.0.1", broker.port)
    client.subscribe([("homeassistant/#", 1), (f"{BASE}/status", 1)])
    client.loop_start()
    try:
        with Running(make_config(tmp_path, broker.port)):
            wait_until(lambda: f"{BASE}/status" in seen)
        assert not [topic for topic in seen if topic.startswith("homeassistant")]
    finally:
        client.disconnect()
        client.loop_stop()

"""Home Assistant: announced when asked, again when it returns, and read from the contract alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jinja2
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge import __version__
from edge.config import HomeAssistant
from edge.publish.announced_topics import AnnouncedTopics
from edge.publish.homeassistant import Discovery
from emoshift.emotions import Emotion
from emoshift.messages import Health, Info, Percentiles, summarise_class
from emoshift.topics import Address
from tests.support.events import CHANGE
from tests.support.publishing import Running, make_config
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.brokers import BrokerProcess

HERE = Address("school", "room-12")
TOPIC = "homeassistant/device/emoshift-school-room-12/config"


def discovery(folder: Path, *, single_faces: bool = True, **settings: Any) -> Discovery:
    """An announcement with the defaults but for some settings."""
    return Discovery(
        HomeAssistant(enabled=True, **settings),
        address=HERE,
        single_faces=single_faces,
        health_interval_s=30.0,
        announced=AnnouncedTopics(folder / "topics"),
    )


@pytest.fixture
def announced(tmp_path: Path) -> dict[str, Any]:
    """The announcement as Home Assistant reads it."""
    message = discovery(tmp_path, dashboard_url="https://emoshift.school.example/").message()
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
    assert len({part["name"] for part in parts.values()}) == len(parts)
    for part in parts.values():
        assert part["platform"] in {"sensor", "binary_sensor", "event"}
        assert part["state_topic"].startswith(HERE.base)


def test_the_device_links_to_the_dashboard(announced):
    """Home Assistant shows version and maker, and where to look closer."""
    device = announced["device"]
    assert device["configuration_url"] == "https://emoshift.school.example/device/school/room-12"
    assert device["sw_version"] == announced["origin"]["sw_version"] == __version__


def test_what_is_of_now_expires(announced):
    """Values of the class and of the health are unknown when no more come; what it is stays."""
    for part in announced["components"].values():
        kind = part["state_topic"].rpartition("/")[2]
        expires = {"class": 90, "health": 90}.get(kind)
        assert part.get("expire_after") == expires, part["name"]


HEALTH = Health(
    device="room-12",
    camera="front",
    at=datetime(2026, 11, 21, tzinfo=UTC),
    camera_state="streaming",
    fps=29.5,
    frames=900,
    dropped_frames=3,
    faces=2,
    outbox_depth=4,
    outbox_dropped=0,
    outbox_state="ready",
    stages={"total": Percentiles(p50_ms=20.0, p95_ms=31.0, p99_ms=40.0)},
    temperature_c=61.0,
    drift=0.12,
)


@pytest.mark.parametrize(
    ("name", "changes", "shown"),
    [
        pytest.param("camera", {}, "OFF", id="camera works"),
        pytest.param("camera", {"camera_state": "lost"}, "ON", id="camera lost"),
        pytest.param("camera", {"camera_state": "waiting"}, "OFF", id="camera not there yet"),
        pytest.param("storage", {}, "OFF", id="disk works"),
        pytest.param("storage", {"outbox_state": "full"}, "ON", id="disk full"),
        pytest.param("temperature", {}, "61.0", id="temperature"),
        pytest.param("temperature", {"temperature_c": None}, "None", id="no thermometer"),
        pytest.param("drift", {}, "0.12", id="drift"),
        pytest.param("drift", {"drift": None}, "None", id="no baseline"),
        pytest.param("latency", {}, "31.0", id="latency"),
        pytest.param("latency", {"stages": {}}, "None", id="no frame yet"),
        pytest.param("outbox", {}, "4", id="events waiting"),
    ],
)
def test_health_is_read(announced, name, changes, shown):
    """States become problems or not, numbers numbers, and what is not known unknown."""
    part = announced["components"][f"emoshift_school_room_12_{name}"]
    payload = HEALTH.model_copy(update=changes).to_json()
    assert rendered(part["value_template"], payload) == shown


def test_what_runs_is_read(announced):
    """The model bundle and the software are facts of their own, for automations."""
    info = Info(
        device="room-12",
        camera="front",
        software="1.2.3",
        model="default-1",
        isolation="namespace",
        min_faces=5,
    )
    for name, shown in (("model", "default-1"), ("software", "1.2.3")):
        part = announced["components"][f"emoshift_school_room_12_{name}"]
        assert rendered(part["value_template"], info.to_json()) == shown


def test_an_entity_of_an_earlier_setting_is_removed(tmp_path):
    """A device that publishes no single transitions any more takes the entity back."""
    message = discovery(tmp_path, single_faces=False).message()
    part = json.loads(message.payload)["components"]["emoshift_school_room_12_transition"]
    assert part == {"platform": "event"}  # by which Home Assistant removes it


def test_class_counts_are_read(announced):
    """A class that may be shown gives numbers; one too small gives none."""
    part = announced["components"]["emoshift_school_room_12_happy"]
    at = datetime(2026, 11, 21, tzinfo=UTC)
    names = {"device": "room-12", "camera": "front", "at": at, "min_faces": 5}
    reported = summarise_class({Emotion.HAPPY: 6}, **names).to_json()
    hidden = summarise_class({Emotion.HAPPY: 2}, **names).to_json()
    assert rendered(part["value_template"], reported) == "6"
    assert rendered(part["value_template"], hidden) == "None"
    total = announced["components"]["emoshift_school_room_12_faces"]
    assert rendered(total["value_template"], reported) == "6"
    assert rendered(total["value_template"], hidden) == "None"


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
    client.subscribe([("homeassistant/#", 1), (f"{HERE.base}/status", 1)])
    client.loop_start()
    try:
        with Running(make_config(tmp_path, broker.port)):
            wait_until(lambda: f"{HERE.base}/status" in seen)
        assert not [topic for topic in seen if topic.startswith("homeassistant")]
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.broker
@pytest.mark.usefixtures("outbox")
def test_taken_back(tmp_path: Path, broker: BrokerProcess):
    """Another prefix removes the entities of the one before, switching off removes them all."""
    config = make_config(tmp_path, broker.port)
    moved = TOPIC.replace("homeassistant", "ha")

    def run(settings: HomeAssistant) -> set[str]:
        with Running(config.model_copy(update={"homeassistant": settings})) as publisher:
            wait_until(lambda: publisher.state == "online")
        return retained(broker.port)

    assert run(HomeAssistant(enabled=True)) == {TOPIC}
    assert run(HomeAssistant(enabled=True, prefix="ha")) == {moved}
    assert run(HomeAssistant(enabled=False)) == set()
    assert (tmp_path / "homeassistant-topics").read_text() == ""


def retained(port: int) -> set[str]:
    """The announcements that the broker keeps."""
    found: set[str] = set()
    there: list[str] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _d, message: (
        found.add(message.topic) if message.retain else there.append(message.topic)
    )
    client.connect("127.0.0.1", port)
    client.subscribe([("+/device/#", 1), ("asked", 1)])
    client.publish("asked", qos=1)
    client.loop_start()
    try:
        wait_until(lambda: bool(there))
    finally:
        client.disconnect()
        client.loop_stop()
    return found


def test_a_broken_memory_costs_nothing(tmp_path, caplog):
    """A file that cannot be read is logged, and the device announces itself all the same."""
    (tmp_path / "topics").mkdir()
    sent: list[str] = []
    discovery(tmp_path).announce(
        lambda message: sent.append(message.topic) or 1, largest_bytes=None
    )
    assert sent == [TOPIC]
    assert "earlier announcements are not taken back" in caplog.text

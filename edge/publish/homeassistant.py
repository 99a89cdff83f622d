"""What Home Assistant is sent so that it shows this device by itself (MQTT discovery).

One retained message describes the device with all its entities; they read the topics of the
contract, so nothing is published twice. It is sent again whenever Home Assistant says that it is
back. Source: Home Assistant's documentation of MQTT discovery for devices.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from edge import __version__
from edge.publish.retained import CLASS_EXPIRY_S
from emoshift.emotions import Emotion, state_label
from emoshift.mqtt.connection import OutgoingMessage
from emoshift.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config import HomeAssistant
    from edge.publish.announced_topics import AnnouncedTopics
    from emoshift.topics import Address

STATES: Final = tuple(state_label(state) for state in (*Emotion, None))
BIRTH: Final = b"online"
"""What Home Assistant says on its status topic when it has started."""


class Discovery:
    """The announcement of one device.

    Args:
        config: Whether and where to announce.
        address: Which device.
        single_faces: Whether the device publishes single transitions.
        health_interval_s: Time between two of its health messages.
        announced: The topics of earlier announcements.
    """

    def __init__(
        self,
        config: HomeAssistant,
        *,
        address: Address,
        single_faces: bool,
        health_interval_s: float,
        announced: AnnouncedTopics,
    ) -> None:
        self.enabled = config.enabled
        self.status_topic = f"{config.prefix}/status"
        self._announced = announced
        self._topic = f"{config.prefix}/device/emoshift-{address.site}-{address.device}/config"
        self._content = _device(
            address,
            dashboard_url=config.dashboard_url,
            single_faces=single_faces,
            health_expires_s=math.ceil(3 * health_interval_s),
        )
        self._removals: dict[int, str] = {}

    def is_birth(self, topic: str, payload: bytes) -> bool:
        """Whether a message says that Home Assistant has just started."""
        return self.enabled and topic == self.status_topic and payload == BIRTH

    def announce(
        self, send: Callable[[OutgoingMessage], int], *, largest_bytes: int | None
    ) -> None:
        """Take back announcements of an earlier prefix, name or setting, and make today's.

        Args:
            send: Sends a message and returns its token.
            largest_bytes: The broker's limit; entities that do not fit are left out, the least
                important ones first.
        """
        self._removals.clear()
        for topic in self._announced:
            if not (self.enabled and topic == self._topic):
                self._removals[
                    send(OutgoingMessage(topic=topic, payload="", qos=1, retain=True))
                ] = topic
        if self.enabled:
            self._announced.add(self._topic)
            send(self.message(largest_bytes=largest_bytes))

    def acknowledge(self, token: int, *, refused: bool) -> bool:
        """Note that the broker has answered; False where the token is none of a removal."""
        topic = self._removals.pop(token, None)
        if topic is not None and not refused:
            self._announced.discard(topic)
        return topic is not None

    def message(self, *, largest_bytes: int | None = None) -> OutgoingMessage:
        """Return the announcement, with as many entities as fit, the most important ones first."""
        components = list(self._content["components"].items())
        while True:
            content = {**self._content, "components": dict(components)}
            payload = json.dumps(content, separators=(",", ":"), allow_nan=False)
            message = OutgoingMessage(topic=self._topic, payload=payload, qos=1, retain=True)
            if largest_bytes is None or message.size_bytes <= largest_bytes or not components:
                return message
            components.pop()


def _device(
    address: Address, *, dashboard_url: str | None, single_faces: bool, health_expires_s: int
) -> dict[str, Any]:
    unique = f"emoshift_{address.site}_{address.device}".replace("-", "_")
    parts = {
        # Home Assistant removes an entity of which only the platform is left.
        "transition": _transition(address) if single_faces else {"platform": "event"},
        "camera": _problem("camera", "camera_state", "lost", health_expires_s, address),
        "faces": _faces(address),
        **{state: _count(address, state) for state in STATES},
        **_health(address, health_expires_s),
        "storage": _problem("event storage", "outbox_state", None, health_expires_s, address),
        "model": _fact(address, "model", "model"),
        "software": _fact(address, "software", "software"),
    }
    for key, part in parts.items():
        if len(part) > 1:
            part["unique_id"] = f"{unique}_{key}"
    device = {
        "identifiers": [unique],
        "name": f"{address.device} ({address.site})",
        "manufacturer": "emoshift",
        "model": "classroom camera",
        "sw_version": __version__,
    }
    if dashboard_url is not None:
        device["configuration_url"] = f"{dashboard_url.rstrip('/')}/device/{address}"
    return {
        "device": device,
        "origin": {"name": "emoshift", "sw_version": __version__},
        "availability": [
            {
                "topic": address.topic(Kind.STATUS),
                "value_template": "{{ 'online' if value_json.state == 'online' else 'offline' }}",
            }
        ],
        "components": {f"{unique}_{key}": part for key, part in parts.items()},
    }


def _count(address: Address, state: str) -> dict[str, Any]:
    """How many faces are in a state; unknown to Home Assistant while the class is too small."""
    return {
        "platform": "sensor",
        "name": f"{state} faces",
        "state_topic": address.topic(Kind.CLASS),
        "value_template": f"{{{{ value_json.states.{state} if value_json.states else none }}}}",
        "state_class": "measurement",
        "expire_after": CLASS_EXPIRY_S,
        "icon": "mdi:emoticon-outline",
    }


def _faces(address: Address) -> dict[str, Any]:
    """How many faces there are in all, likewise."""
    return {
        "platform": "sensor",
        "name": "faces",
        "state_topic": address.topic(Kind.CLASS),
        "value_template": "{{ value_json.faces }}",
        "state_class": "measurement",
        "expire_after": CLASS_EXPIRY_S,
        "icon": "mdi:account-group",
    }


def _health(address: Address, expires_s: int) -> dict[str, dict[str, Any]]:
    """Numbers for whoever looks after the device."""
    values = {
        "temperature": ("temperature", "value_json.temperature_c", "°C"),
        "drift": ("drift", "value_json.drift", None),
        "frame_rate": ("frame rate", "value_json.fps", "fps"),
        "latency": ("latency p95", "value_json.stages.total.p95_ms", "ms"),
        "outbox": ("events waiting", "value_json.outbox_depth", None),
        "level": ("degradation level", "value_json.level", None),
    }
    parts: dict[str, dict[str, Any]] = {}
    for key, (name, value, unit) in values.items():
        parts[key] = {
            "platform": "sensor",
            "name": name,
            "state_topic": address.topic(Kind.HEALTH),
            "value_template": f"{{{{ {value} }}}}",
            "entity_category": "diagnostic",
            "state_class": "measurement",
            "expire_after": expires_s,
        } | ({"unit_of_measurement": unit} if unit else {})
    parts["temperature"]["device_class"] = "temperature"
    parts["latency"]["device_class"] = "duration"
    parts["latency"]["value_template"] = (
        "{{ value_json.stages.total.p95_ms if value_json.stages.total else none }}"
    )
    return parts


def _problem(
    name: str, key: str, bad: str | None, expires_s: int, address: Address
) -> dict[str, Any]:
    """Whether a state of the health message is the bad one, or, without one, not ``ready``."""
    wrong = f"value_json.{key} == '{bad}'" if bad else f"value_json.{key} != 'ready'"
    return {
        "platform": "binary_sensor",
        "name": name,
        "state_topic": address.topic(Kind.HEALTH),
        "value_template": f"{{{{ 'ON' if {wrong} else 'OFF' }}}}",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "expire_after": expires_s,
    }


def _fact(address: Address, name: str, key: str) -> dict[str, Any]:
    """A word of what the device is."""
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": address.topic(Kind.INFO),
        "value_template": f"{{{{ value_json.{key} }}}}",
        "entity_category": "diagnostic",
    }


def _transition(address: Address) -> dict[str, Any]:
    """Each transition as an event; what is sent late must not switch anything, so it is none."""
    return {
        "platform": "event",
        "name": "transition",
        "state_topic": address.topic(Kind.TRANSITION),
        "event_types": [emotion.label for emotion in Emotion],
        "value_template": (
            "{% if not value_json.historical %}"
            "{{ {'event_type': value_json['to'], 'from': value_json['from'],"
            " 'confidence': value_json.confidence} | tojson }}"
            "{% endif %}"
        ),
        "icon": "mdi:emoticon-outline",
    }

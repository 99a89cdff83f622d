"""What Home Assistant is sent so that it shows this device by itself (MQTT discovery).

One retained message describes the device with all its entities; they read the topics of the
contract, so nothing is published twice. It is sent again whenever Home Assistant says that it is
back. Source: Home Assistant's documentation of MQTT discovery for devices.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from edge import __version__
from emoshift.emotions import Emotion, state_label
from emoshift.mqtt.connection import OutgoingMessage

if TYPE_CHECKING:
    from edge.config import HomeAssistant

STATES: Final = tuple(state_label(state) for state in (*Emotion, None))
BIRTH: Final = b"online"
"""What Home Assistant says on its status topic when it has started."""


class Discovery:
    """The announcement of one device.

    Args:
        config: Whether and where to announce.
        base: The device's topic.
        site, device: Their names.
        single_faces: Whether the device publishes single transitions.
    """

    def __init__(
        self, config: HomeAssistant, *, base: str, site: str, device: str, single_faces: bool
    ) -> None:
        self.enabled = config.enabled
        self.status_topic = f"{config.prefix}/status"
        self._topic = f"{config.prefix}/device/emoshift-{site}-{device}/config"
        self._content = _device(base, site=site, device=device, single_faces=single_faces)

    def is_birth(self, topic: str, payload: bytes) -> bool:
        """Whether a message says that Home Assistant has just started."""
        return self.enabled and topic == self.status_topic and payload == BIRTH

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


def _device(base: str, *, site: str, device: str, single_faces: bool) -> dict[str, Any]:
    unique = f"emoshift_{site}_{device}".replace("-", "_")
    components = {
        **{f"{unique}_{state}": _count(base, unique, state) for state in STATES},
        **{f"{unique}_{name}": part for name, part in _health(base, unique).items()},
    }
    if single_faces:
        components = {f"{unique}_transition": _transition(base, unique), **components}
    return {
        "device": {
            "identifiers": [unique],
            "name": f"{device} ({site})",
            "manufacturer": "emoshift",
            "sw_version": __version__,
        },
        "origin": {"name": "emoshift", "sw_version": __version__},
        "availability": [
            {
                "topic": f"{base}/status",
                "value_template": "{{ 'online' if value_json.state == 'online' else 'offline' }}",
            }
        ],
        "components": components,
    }


def _count(base: str, unique: str, state: str) -> dict[str, Any]:
    """How many faces are in a state; unknown to Home Assistant while the class is too small."""
    return {
        "platform": "sensor",
        "unique_id": f"{unique}_{state}",
        "name": f"{state} faces",
        "state_topic": f"{base}/class",
        "value_template": f"{{{{ value_json.states.{state} if value_json.states else none }}}}",
        "state_class": "measurement",
        "icon": "mdi:emoticon-outline",
    }


def _health(base: str, unique: str) -> dict[str, dict[str, Any]]:
    values = {
        "frame_rate": ("frame rate", "value_json.fps", "fps"),
        "latency": ("latency p95", "value_json.stages.total.p95_ms", "ms"),
        "outbox": ("events waiting", "value_json.outbox_depth", None),
        "level": ("degradation level", "value_json.level", None),
        "temperature": ("temperature", "value_json.temperature_c", "°C"),
    }
    parts: dict[str, dict[str, Any]] = {}
    for key, (name, value, unit) in values.items():
        parts[key] = {
            "platform": "sensor",
            "unique_id": f"{unique}_{key}",
            "name": name,
            "state_topic": f"{base}/health",
            "value_template": f"{{{{ {value} }}}}",
            "entity_category": "diagnostic",
            "state_class": "measurement",
        } | ({"unit_of_measurement": unit} if unit else {})
    parts["temperature"]["device_class"] = "temperature"
    return parts


def _transition(base: str, unique: str) -> dict[str, Any]:
    """Each transition as an event; what is sent late must not switch anything, so it is none."""
    return {
        "platform": "event",
        "unique_id": f"{unique}_transition",
        "name": "transition",
        "state_topic": f"{base}/transition",
        "event_types": [emotion.label for emotion in Emotion],
        "value_template": (
            "{% if not value_json.historical %}"
            "{{ {'event_type': value_json['to'], 'from': value_json['from'],"
            " 'confidence': value_json.confidence} | tojson }}"
            "{% endif %}"
        ),
        "icon": "mdi:emoticon-outline",
    }

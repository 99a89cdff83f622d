"""The same health, as Prometheus sees it."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.publish.metrics import Metrics, serve_metrics
from emoshift.emotions import Emotion
from emoshift.errors import UnavailableError
from emoshift.messages import ClassSummary, Health, Info, Percentiles, summarise_class
from emoshift.topics import Address
from tests.support.brokers import BrokerProcess, free_port
from tests.support.publishing import Running, make_config
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge.outbox.store import Outbox

HERE = Address("school", "room-12")
AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
HEALTH = Health(
    device="room-12",
    camera="front",
    at=AT,
    camera_state="streaming",
    fps=29.5,
    frames=900,
    dropped_frames=3,
    faces=2,
    outbox_depth=0,
    outbox_dropped=0,
    outbox_state="ready",
    stages={"total": Percentiles(p50_ms=20.0, p95_ms=31.0, p99_ms=40.0, count=900, sum_ms=18900.0)},
    temperature_c=61.0,
)


def fetch(port: int, path: str = "/metrics") -> str:
    """What a scrape gets."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def scraped(*messages: Health | Info | ClassSummary, online: bool) -> dict[str, float]:
    """What a scrape is answered with, by name and labels."""
    metrics, registry = Metrics(HERE), CollectorRegistry()
    registry.register(metrics)
    kinds = {Health: "health", Info: "info", ClassSummary: "class"}
    metrics.update({kinds[type(one)]: one.to_json() for one in messages}, online=online)
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert (labels.pop("site"), labels.pop("device")) == (HERE.site, HERE.device)
            name = " ".join([sample.name, *(f"{k}={v}" for k, v in sorted(labels.items()))])
            found[name] = sample.value
    return found


def test_what_is_known_is_served() -> None:
    """Values, states and percentiles are there; what is unknown is left out."""
    values = scraped(HEALTH, online=True)
    assert {
        "emoshift_online": 1,
        "emoshift_vision_reporting": 1,
        "emoshift_frames_per_second": 29.5,
        "emoshift_frames_total": 900,
        "emoshift_processor_temperature_celsius": 61,
        "emoshift_camera_state state=streaming": 1,
        "emoshift_camera_state state=lost": 0,
        "emoshift_stage_duration_seconds quantile=0.95 stage=total": 0.031,
        "emoshift_stage_duration_seconds_count stage=total": 900,
        "emoshift_stage_duration_seconds_sum stage=total": 18.9,
    }.items() <= values.items()
    assert not [name for name in values if "drift" in name or "sharpness" in name]
    assert all(name.startswith("emoshift_") for name in values)


def test_the_image_and_drift_are_served_when_known() -> None:
    """What a later health message knows is shown; a health without it is shown as before."""
    known = {"drift": 0.3, "drift_blendshapes": 0.1, "drift_confidence": 0.3, "abstained": 0.2}
    known |= {"brightness": 0.4, "sharpness": 120.5}
    values = scraped(HEALTH.model_copy(update=known), online=True)
    assert {
        "emoshift_drift input=blendshapes": 0.1,
        "emoshift_drift input=confidence": 0.3,
        "emoshift_abstained_ratio": 0.2,
        "emoshift_brightness_ratio": 0.4,
        "emoshift_sharpness": 120.5,
    }.items() <= values.items()


def test_what_runs_and_the_class_are_served() -> None:
    """Versions are labels; a class that may not be shown has no faces."""
    summary = summarise_class(
        {Emotion.HAPPY: 6}, device="room-12", camera="front", at=AT, min_faces=5
    )
    hidden = summarise_class(
        {Emotion.HAPPY: 2}, device="room-12", camera="front", at=AT, min_faces=5
    )
    info = Info(
        device="room-12",
        camera="front",
        software="1.2",
        model="default-1",
        isolation="namespace",
        min_faces=5,
    )
    values = scraped(info, summary, online=True)
    named = "isolation=namespace model=default-1 publish=transitions software=1.2"
    assert values[f"emoshift_device_info {named}"] == 1
    assert values["emoshift_class_faces state=happy"] == 6
    assert not [name for name in scraped(hidden, online=True) if "class_faces" in name]


def test_without_a_vision_process() -> None:
    """Nothing stale is served when vision is not responding."""
    assert scraped(online=False) == {"emoshift_online": 0, "emoshift_vision_reporting": 0}


def test_a_taken_port() -> None:
    """A port that is taken is one clear error."""
    port = free_port()
    with (
        serve_metrics(port, HERE),
        pytest.raises(UnavailableError, match="metrics_port"),
        serve_metrics(port, HERE),
    ):
        pass


@pytest.mark.broker
def test_the_publisher_serves_them(tmp_path: Path, outbox: Outbox, broker: BrokerProcess) -> None:
    """A running publisher shows vision's health and its own link, and only at /metrics."""
    port = free_port()
    config = make_config(tmp_path, broker.port)
    health = config.health.model_copy(update={"metrics_port": port})
    outbox.put_snapshot("health", HEALTH.to_json())
    with Running(config.model_copy(update={"health": health})) as publisher:
        wait_until(lambda: publisher.state == "online")
        here = f'device="{config.device.name}",site="{config.device.site}"'
        wait_until(lambda: f"emoshift_frames_per_second{{{here}}} 29.5" in fetch(port))
        assert f"emoshift_online{{{here}}} 1" in fetch(port)
        with pytest.raises(urllib.error.HTTPError):
            fetch(port, "/")

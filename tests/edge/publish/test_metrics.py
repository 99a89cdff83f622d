"""The same health, told to Prometheus."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.publish.metrics import Metrics, serve_metrics
from emoshift.errors import UnavailableError
from emoshift.messages import Health, Percentiles
from tests.edge.publish.conftest import Running, make_config
from tests.support.brokers import BrokerProcess, free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge.outbox.store import Outbox

HEALTH = Health(
    device="room-12",
    camera="front",
    at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    camera_state="streaming",
    fps=29.5,
    frames=900,
    dropped_frames=3,
    faces=2,
    outbox_depth=0,
    outbox_dropped=0,
    outbox_state="ready",
    stages={"total": Percentiles(p50_ms=20.0, p95_ms=31.0, p99_ms=40.0)},
    temperature_c=61.0,
)


def fetch(port: int, path: str = "/metrics") -> str:
    """What a scrape gets."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def scraped(health: str, *, online: bool) -> dict[str, float]:
    """What a scrape is answered with, by name and labels."""
    metrics, registry = Metrics(), CollectorRegistry()
    registry.register(metrics)
    metrics.note(health, online=online)
    text = generate_latest(registry).decode()
    return {
        " ".join([sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_known_is_served() -> None:
    """Values, states and percentiles are there; what is unknown is left out."""
    values = scraped(HEALTH.to_json(), online=True)
    assert {
        "emoshift_broker_online": 1,
        "emoshift_vision_alive": 1,
        "emoshift_fps": 29.5,
        "emoshift_frames_total": 900,
        "emoshift_temperature_c": 61,
        "emoshift_camera_state state=streaming": 1,
        "emoshift_camera_state state=lost": 0,
        "emoshift_stage_ms quantile=0.95 stage=total": 31,
    }.items() <= values.items()
    assert not [name for name in values if "drift" in name or "sharpness" in name]
    assert all(name.startswith("emoshift_") for name in values)


def test_the_image_and_drift_are_served_when_known() -> None:
    """What a later health message knows is shown; a health without it is shown as before."""
    known = {"drift": 0.3, "drift_blendshapes": 0.1, "drift_confidence": 0.3, "abstained": 0.2}
    known |= {"brightness": 0.4, "sharpness": 120.5}
    values = scraped(HEALTH.model_copy(update=known).to_json(), online=True)
    assert {f"emoshift_{name}": value for name, value in known.items()}.items() <= values.items()


def test_without_a_vision_process() -> None:
    """Nothing stale is served when vision is not responding."""
    assert scraped("", online=False) == {"emoshift_broker_online": 0, "emoshift_vision_alive": 0}


def test_a_taken_port() -> None:
    """A port that is taken is one clear error."""
    port = free_port()
    with (
        serve_metrics(port),
        pytest.raises(UnavailableError, match="metrics_port"),
        serve_metrics(port),
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
        wait_until(lambda: "emoshift_fps 29.5" in fetch(port))
        assert "emoshift_broker_online 1" in fetch(port)
        with pytest.raises(urllib.error.HTTPError):
            fetch(port, "/")

"""The health message in Prometheus' text format, on a port of 127.0.0.1; off unless asked for."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

_PLAIN: Final = (
    ("fps", "gauge", "Frames processed a second over the last interval."),
    ("frames", "counter", "Frames processed since the start."),
    ("dropped_frames", "counter", "Frames replaced by newer ones since the start."),
    ("faces", "gauge", "Faces in the last frame."),
    ("outbox_depth", "gauge", "Events that no broker has acknowledged."),
    ("outbox_dropped", "counter", "Events given up because the outbox was full or they too old."),
    ("outbox_damaged", "counter", "Events that were damaged on the disk."),
    ("outbox_set_aside", "gauge", "Events that the broker refused again and again."),
    ("level", "gauge", "Degradation level; 0 is full quality."),
    ("temperature_c", "gauge", "Of the processor, degrees Celsius."),
    ("throttled", "gauge", "Whether the chip slows itself down."),
    ("drift", "gauge", "Distance of the input from the bundle's baseline, the larger of the two."),
    ("drift_blendshapes", "gauge", "Population stability index of the blendshapes."),
    ("drift_confidence", "gauge", "Population stability index of the largest probability."),
    ("abstained", "gauge", "Share of predictions too uncertain to decide by."),
    ("brightness", "gauge", "Mean grey level of the picture, 0 to 1."),
    ("sharpness", "gauge", "Variance of the picture's Laplacian at 320 pixels wide."),
    ("faces_too_small", "gauge", "Faces too small for landmarks."),
)


class Metrics:
    """What the next scrape is answered with: the health message of now, and the connection.

    It is the collector that prometheus_client asks at every scrape.
    """

    def __init__(self) -> None:
        self._health = ""
        self._online = False

    def note(self, health: str, *, online: bool) -> None:
        """Take in the state of now: the health message (empty when stale) and the connection."""
        self._health, self._online = health, online

    def collect(self) -> Iterator[Metric]:
        """Yield what is known; what the health message does not know is left out."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        health: dict[str, Any] = json.loads(self._health) if self._health else {}

        def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"emoshift_{name}", text, value=value)

        yield gauge("broker_online", "Whether the broker accepts us.", self._online)
        yield gauge("vision_alive", "Whether vision reports its health.", bool(health))
        for name, kind, text in _PLAIN:
            if (value := health.get(name)) is not None:
                make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
                yield make(f"emoshift_{name}", text, value=float(value))
        for key, values in (
            ("camera_state", ("waiting", "streaming", "lost")),
            ("outbox_state", ("ready", "full", "failing")),
        ):
            if key in health:
                text = f"1 for the present {key.replace('_', ' ')}."
                states = GaugeMetricFamily(f"emoshift_{key}", text, labels=["state"])
                for value in values:
                    states.add_metric([value], health[key] == value)
                yield states
        if health.get("stages"):
            stages = GaugeMetricFamily(
                "emoshift_stage_ms",
                "Latency per stage over the last interval.",
                labels=["stage", "quantile"],
            )
            for stage, percentiles in health["stages"].items():
                for name, value in percentiles.items():
                    stages.add_metric([stage, f"0.{name[1:3]}"], value)
            yield stages


@contextlib.contextmanager
def serve_metrics(port: int | None) -> Iterator[Metrics]:
    """Serve metrics on 127.0.0.1 for the length of a block; without a port only keep them.

    Raises:
        UnavailableError: The port is taken.
    """
    metrics = Metrics()
    if port is None:  # then prometheus_client is not even loaded
        yield metrics
        return
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(metrics))
    except OSError as why:
        raise UnavailableError(
            f"health.metrics_port {port}: {why.strerror}; choose another"
        ) from why
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    from prometheus_client import CollectorRegistry, MetricsHandler

    of = CollectorRegistry()
    of.register(metrics)

    class Handler(MetricsHandler):
        """Answers ``GET /metrics`` and nothing else."""

        registry = of
        timeout = 5.0

        def do_GET(self) -> None:  # noqa: N802 - its base names it
            if self.path == "/metrics":
                super().do_GET()
            else:
                self.send_error(404)

    return Handler

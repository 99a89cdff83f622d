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

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

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
    """What the next scrape is told."""

    def __init__(self) -> None:
        self._health = ""
        self._online = False

    def note(self, health: str, *, online: bool) -> None:
        """Take in the state of now: the health message (empty when stale) and the link."""
        self._health, self._online = health, online

    def text(self) -> str:
        """Write what is known."""
        return render(json.loads(self._health) if self._health else {}, online=self._online)


def render(health: dict[str, Any], *, online: bool) -> str:
    """Write a health message as metrics; what the message does not know is left out."""
    lines = [*_metric("broker_online", "gauge", "Whether the broker accepts us.", int(online))]
    lines += _metric(
        "vision_alive", "gauge", "Whether vision reports its health.", int(bool(health))
    )
    for name, kind, text in _PLAIN:
        if health.get(name) is not None:
            lines += _metric(name, kind, text, health[name])
    for key, values in (
        ("camera_state", ("waiting", "streaming", "lost")),
        ("outbox_state", ("ready", "full", "failing")),
    ):
        if key in health:
            lines += _head(key, "gauge", f"1 for the present {key.replace('_', ' ')}.")
            for value in values:
                lines.append(f'emoshift_{key}{{state="{value}"}} {int(health[key] == value)}')
    if health.get("stages"):
        lines += _head("stage_ms", "gauge", "Latency per stage over the last interval.")
        for stage, percentiles in health["stages"].items():
            lines += [
                f'emoshift_stage_ms{{stage="{stage}",quantile="0.{name[1:3]}"}} {value}'
                for name, value in percentiles.items()
            ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def serve_metrics(port: int | None) -> Iterator[Metrics]:
    """Serve metrics on 127.0.0.1 for the length of a block; without a port only keep them.

    Raises:
        UnavailableError: The port is taken.
    """
    metrics = Metrics()
    if port is None:
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
    class Handler(BaseHTTPRequestHandler):
        """Answers ``GET /metrics`` and nothing else."""

        timeout = 5.0

        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            body = metrics.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
            """Say nothing: a scrape every few seconds is no news."""

    return Handler


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP emoshift_{name} {text}", f"# TYPE emoshift_{name} {kind}"]


def _metric(name: str, kind: str, text: str, value: float) -> list[str]:
    suffix = "_total" if kind == "counter" else ""
    return [*_head(name + suffix, kind, text), f"emoshift_{name}{suffix} {float(value):g}"]

"""The Prometheus exporter: every device's state and the workers' work, behind a token."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

from dashboard.live.state import p95_ms, presence, shown_summary
from dashboard.live.steady_clock import steady_ms
from dashboard.web.context import Context, Refused, ask, context_of
from emoshift.emotions import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from starlette.requests import Request

    from dashboard.store.read import Worker

_LABELS = ("site", "device")


async def metrics(request: Request) -> Response:
    """Answer a scrape that carries the token."""
    context = context_of(request)
    token = context.config.web.metrics_token
    if token is None:
        raise Refused(404)
    sent = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(sent, f"Bearer {token.get_secret_value()}".encode()):
        raise Refused(401)
    try:
        workers = await ask(context.archive.workers)
    except Refused:
        workers = []
    collectors = CollectorRegistry()
    collectors.register(_Snapshot(context, workers))
    return Response(generate_latest(collectors), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Snapshot(Collector):
    def __init__(self, context: Context, workers: list[Worker]) -> None:
        self._context = context
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Yield everything as it is now."""
        hub, moment = self._context.hub, steady_ms()
        gauges = {
            "online": GaugeMetricFamily("emoshift_online", "Device is online", labels=_LABELS),
            "fps": GaugeMetricFamily("emoshift_fps", "Frames processed a second", labels=_LABELS),
            "p95": GaugeMetricFamily(
                "emoshift_latency_p95_seconds", "Capture to outbox", labels=_LABELS
            ),
            "hot": GaugeMetricFamily(
                "emoshift_temperature_celsius", "Temperature of the processor", labels=_LABELS
            ),
            "level": GaugeMetricFamily("emoshift_level", "Degradation level", labels=_LABELS),
            "depth": GaugeMetricFamily("emoshift_outbox_depth", "Events waiting", labels=_LABELS),
            "drift": GaugeMetricFamily("emoshift_drift", "Drift of the input", labels=_LABELS),
        }
        refused = CounterMetricFamily(
            "emoshift_refused_messages", "Messages that were not believed", labels=_LABELS
        )
        faces = GaugeMetricFamily(
            "emoshift_class_faces",
            "Faces in a state; left out where the class is too small to be shown",
            labels=(*_LABELS, "state"),
        )
        min_faces = self._context.config.web.min_faces
        for address, state in list(hub.devices.items()):
            where = (address.site, address.device)
            summary = shown_summary(state, moment, min_faces=min_faces)
            if summary is not None and summary.states is not None:
                for name, count in zip(STATES, summary.states.counts(), strict=True):
                    faces.add_metric((*where, name), count)
            gauges["online"].add_metric(where, float(presence(state, moment) == "online"))
            refused.add_metric(where, hub.refused[address])
            if (health := state.health) is None or presence(state, moment) != "online":
                continue  # what a device said before it left is no longer true
            p95 = p95_ms(health)
            for name, value in (
                ("fps", health.fps),
                ("p95", None if p95 is None else p95 / 1000),
                ("hot", health.temperature_c),
                ("level", health.level),
                ("depth", health.outbox_depth),
                ("drift", health.drift),
            ):
                if value is not None:
                    gauges[name].add_metric(where, value)
        yield from gauges.values()
        yield refused
        yield faces
        yield GaugeMetricFamily(
            "emoshift_dashboard_broker_up", "The broker is there", value=float(hub.connected)
        )
        stored = CounterMetricFamily(
            "emoshift_dashboard_events", "Events stored by a worker", labels=("worker",)
        )
        for worker in self._workers:
            stored.add_metric((worker.name,), worker.new)
        yield stored

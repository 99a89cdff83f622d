"""The Prometheus exporter: every device's state and the workers' work, behind a token."""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

from dashboard.live.state import current_health, presence, shown_summary
from dashboard.live.steady_clock import steady_ms
from dashboard.web.context import Refused, ask, context_of
from emoshift.metrics import LABELS, Scraped, device_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric
    from starlette.requests import Request

    from dashboard.live.hub import Hub
    from dashboard.live.state import DeviceState

log = logging.getLogger(__name__)


async def metrics(request: Request) -> Response:
    """Answer a scrape that carries the token."""
    context = context_of(request)
    try:
        token = context.config.web.read_metrics_token()
    except (OSError, ValueError) as why:
        log.warning("web.metrics_token_file: %s", why)
        raise Refused(503) from None
    if token is None:
        raise Refused(404)
    sent = request.headers.get("authorization", "").encode()
    if not hmac.compare_digest(sent, f"Bearer {token}".encode()):
        raise Refused(401)
    try:
        workers = await ask(context.archive.workers)
    except Refused:
        workers = []
    stored = {worker.name: worker.new for worker in workers}
    collectors = CollectorRegistry()
    collectors.register(
        DashboardMetrics(context.hub, min_faces=context.config.web.min_faces, stored=stored)
    )
    return Response(generate_latest(collectors), headers={"Content-Type": CONTENT_TYPE_LATEST})


class DashboardMetrics(Collector):
    """Every device, and the dashboard's own work, as they are when they are asked for.

    Args:
        hub: What is known of the devices.
        min_faces: Nothing is shown of a class below this many faces.
        stored: Events that each worker has stored.
    """

    def __init__(self, hub: Hub, *, min_faces: int, stored: Mapping[str, int]) -> None:
        self._hub = hub
        self._min_faces = min_faces
        self._stored = stored

    def collect(self) -> Iterator[Metric]:
        """Yield everything as it is now."""
        hub, moment = self._hub, steady_ms()
        states = list(hub.devices.values())
        yield from device_metrics(self._scraped(state, moment) for state in states)
        yield GaugeMetricFamily(
            "emoshift_dashboard_broker_up", "Whether the broker is there.", value=hub.connected
        )
        refused = CounterMetricFamily(
            "emoshift_dashboard_messages_refused",
            "Messages that were not believed.",
            labels=LABELS,
        )
        for address in hub.devices:
            refused.add_metric((address.site, address.device), hub.refused[address])
        yield refused
        stored = CounterMetricFamily(
            "emoshift_dashboard_events_stored", "Events stored by a worker.", labels=("worker",)
        )
        for worker, count in self._stored.items():
            stored.add_metric((worker,), count)
        yield stored

    def _scraped(self, state: DeviceState, moment: int) -> Scraped:
        online = presence(state, moment) == "online"
        return Scraped(
            address=state.address,
            online=online,
            info=state.info if online else None,  # it may come back with another version
            health=current_health(state, moment),
            summary=shown_summary(state, moment, min_faces=self._min_faces),
        )

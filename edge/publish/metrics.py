"""What the device reports of itself, for Prometheus, on a port of 127.0.0.1; off by default."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from emoshift.errors import UnavailableError
from emoshift.messages import ClassSummary, Health, Info

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

    from emoshift.topics import Address


class Metrics:
    """What the next scrape is answered with: what vision publishes now, and the connection.

    It is the collector that prometheus_client asks at every scrape.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._messages: Mapping[str, str] = {}
        self._online = False

    def update(self, messages: Mapping[str, str], *, online: bool) -> None:
        """Take in the state of now: messages by kind, without stale ones, and the connection."""
        self._messages, self._online = messages, online

    def collect(self) -> Iterator[Metric]:
        """Yield what is known; what the messages do not know is left out."""
        from emoshift.metrics import Scraped, device_metrics

        info, health, summary = (self._messages.get(kind) for kind in ("info", "health", "class"))
        yield from device_metrics(
            [
                Scraped(
                    address=self._address,
                    online=self._online,
                    info=Info.from_json(info) if info else None,
                    health=Health.from_json(health) if health else None,
                    summary=ClassSummary.from_json(summary) if summary else None,
                )
            ]
        )


@contextlib.contextmanager
def serve_metrics(port: int | None, address: Address) -> Iterator[Metrics]:
    """Serve metrics on 127.0.0.1 for the length of a block; without a port only keep them.

    Raises:
        UnavailableError: The port is taken.
    """
    metrics = Metrics(address)
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

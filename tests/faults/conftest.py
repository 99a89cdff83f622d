"""The fault suite uses the publisher's own stage."""

from tests.edge.publish.conftest import broker, outbox

__all__ = ["broker", "outbox"]

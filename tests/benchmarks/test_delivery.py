"""From the outbox to a subscriber, through a real broker."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.delivery import time_delivery
from benchmarks.stages import sample_change


@pytest.mark.broker
@pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="needs Mosquitto: sudo apt install mosquitto",
)
def test_every_event_is_timed():
    """Each event comes back once; the first, which waited for the link, does not count."""
    took_ms = time_delivery([sample_change(number) for number in range(6)])
    assert len(took_ms) == 5
    assert (took_ms > 0).all()

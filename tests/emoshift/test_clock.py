"""The device's two clocks."""

from __future__ import annotations

from emoshift.clock import read_clock


def test_real_clock() -> None:
    """The device's own clocks can be read, and date the present."""
    now = read_clock()
    assert now.date(now.monotonic_s).year >= 2024
    assert now.date(now.monotonic_s - 60) < now.date(now.monotonic_s)

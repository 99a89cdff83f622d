"""Clocks that a test moves."""

from __future__ import annotations

from dataclasses import dataclass

from emoshift.clock import ClockReading


@dataclass
class SetClock:
    """All clocks of a device, set by the test."""

    monotonic_s: float = 1000.0
    utc_s: float = 1_800_000_000.0
    synced: bool = True

    def __call__(self) -> ClockReading:
        """Read them."""
        return ClockReading(monotonic_s=self.monotonic_s, utc_s=self.utc_s, synced=self.synced)


@dataclass
class SleepingClock:
    """A clock that moves when somebody sleeps."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        """Read it."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

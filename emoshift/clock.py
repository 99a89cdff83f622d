"""The two clocks of the device, read together: one that never jumps, one that people know."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

TIMESYNCD_MARK: Final = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd creates this file when it has set the clock for the first time."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR: Final = 5  # the return value of adjtimex(2) for a clock that nobody has set
_TIMEX_BYTES: Final = 208  # sizeof(struct timex) on 64-bit Linux; mode 0 only reads
_LIBC: Final = ctypes.CDLL(None)
_LATEST_S: Final = 253402300799.0  # the last second of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """Both clocks at one instant: the mapping from capture times to dates.

    Taken anew for every decision, so that a step of the wall clock applies to the next event and
    never bends the order or the durations within one.

    Attributes:
        monotonic_s: The clock of the capture times, seconds.
        utc_s: Seconds since 1970, as the system believes.
        synced: Whether a time source has set the wall clock.
    """

    monotonic_s: float
    utc_s: float
    synced: bool

    @property
    def offset_s(self) -> float:
        """What to add to a monotonic time to get a wall-clock time, seconds."""
        return self.utc_s - self.monotonic_s

    def date(self, monotonic_s: float) -> datetime:
        """Map a capture time to a date in UTC, to the millisecond."""
        return date_of(monotonic_s + self.offset_s)


def date_of(utc_s: float) -> datetime:
    """Turn seconds since 1970 into a date in UTC, rounded to the millisecond."""
    bounded = min(max(utc_s, 0.0), _LATEST_S)
    return datetime.fromtimestamp(round(bounded * 1000) / 1000, UTC)


def read_clock() -> ClockReading:
    """Read both clocks now."""
    return ClockReading(monotonic_s=time.monotonic(), utc_s=time.time(), synced=_is_synced())


def boot_session() -> str:
    """Name this run of the kernel; monotonic times of two kernels do not compare."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:  # no /proc: then nothing written before this process compares
        return f"process-{os.getpid()}-{time.time_ns()}"


def _is_synced() -> bool:
    """Ask the kernel; where a sandbox forbids that, look for timesyncd's mark."""
    status = _LIBC.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if status < 0:
        return TIMESYNCD_MARK.exists()
    return bool(status != _TIME_ERROR)

"""A clock for ages: it reads like the time of day and goes on evenly when that is set."""

from __future__ import annotations

import time
from typing import Final

_OFFSET_NS: Final = time.time_ns() - time.monotonic_ns()


def steady_ms() -> int:
    """Return milliseconds since 1970 as this process counts them from its start."""
    return (time.monotonic_ns() + _OFFSET_NS) // 1_000_000

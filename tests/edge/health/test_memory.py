"""Memory that was needed once goes back to the system."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from edge.health.board import give_back_memory


def anonymous_mb() -> float:
    """What this process has asked for and written to."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1e3


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps less")
def test_what_is_free_below_what_is_used_is_given_back() -> None:
    """The last piece pins the top of the heap, so that freeing alone gives nothing back."""
    pieces = [np.ones(64 * 1024, np.uint8) for _ in range(2000)]
    pinned = pieces.pop()
    del pieces
    kept_mb = anonymous_mb()
    give_back_memory()
    assert kept_mb - anonymous_mb() > 100
    assert pinned.all()

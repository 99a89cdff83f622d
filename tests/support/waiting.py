"""Waiting for what happens in another process or thread, instead of sleeping and hoping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_until(holds: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Return as soon as ``holds`` gives something true; raise `TimeoutError` when it never does."""
    until_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > until_s:
            raise TimeoutError(f"it did not happen within {timeout_s:g} s")
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process goes on; one that has ended and was not yet asked how does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

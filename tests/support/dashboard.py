"""What the dashboard's tests share without fixtures: settings, patience."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dashboard.config import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_MS = 1_795_254_000_000


def wait_until(holds: Callable[[], object], *, timeout_s: float = 30) -> None:
    """Wait for something that happens elsewhere; fails when it does not."""
    until_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.02)


def settings(port: int, database: str, **tables: dict[str, object]) -> Config:
    """Settings for a broker on loopback and a database."""
    broker = {"host": "127.0.0.1", "port": port}
    return load_config(None, broker=broker, history={"database": database}, **tables)

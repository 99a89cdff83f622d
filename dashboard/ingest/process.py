"""A worker as a process of its own; it loads nothing of the pages."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from dashboard.ingest.worker import Worker
from dashboard.store.database import await_store
from emoshift.stop_flag import StopFlag

if TYPE_CHECKING:
    from dashboard.config import Config
    from dashboard.ingest.report import WorkerReport


def run_worker(config: Config, *, leashed: bool = False) -> None:
    """Store what devices publish, until SIGINT or SIGTERM.

    Args:
        config: The settings.
        leashed: Whether to end with whoever holds the other end of standard input, and to report
            on standard output how the worker is doing.
    """
    stop = stop_on_signals()
    if leashed:
        threading.Thread(target=_await_end_of_input, args=(stop,), daemon=True).start()
    if (engine := await_store(config.history.database, stop)) is not None:
        Worker(config, engine, on_report=_write_line if leashed else lambda _: None).run(stop)


def _write_line(report: WorkerReport) -> None:
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), report.to_line())


def _await_end_of_input(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()


def stop_on_signals() -> StopFlag:
    """Return a flag that SIGINT and SIGTERM set."""
    stop = StopFlag()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop

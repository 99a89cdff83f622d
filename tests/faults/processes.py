"""The two processes as real processes that can be killed at any moment, started in milliseconds.

They are forked from a server that has everything imported, because a storm of hundreds of kills
would otherwise spend its time starting interpreters. What runs in them is what the daemon runs;
only the networks are replaced: changes are made up, as many a second as asked for.
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config import load_config
from edge.daemon.watchdog import run_publish_service
from edge.outbox.settings import Limits
from edge.outbox.store import Outbox
from emoshift.clock import read_clock
from emoshift.systemd import Notifier
from tests.support.events import CHANGE

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

    from emoshift.clock import ClockReading

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, "edge.publish.publisher"])


def decide(
    outbox_path: str, ledger_path: str, run: int, rate_hz: float, jumps: bool = False
) -> None:
    """Be the vision process: store changes, and note each one in a ledger once it is committed.

    With ``jumps`` the clock is set to another year every few changes, and is now and then unset.
    """
    _quiet()
    number = 0
    with (
        Outbox.open(
            Path(outbox_path), Limits(), writer=True, clock=_jumping if jumps else read_clock
        ) as outbox,
        Path(ledger_path).open("a", encoding="ascii", buffering=1) as ledger,
    ):
        while True:
            batch = [replace(CHANGE, track=f"{run}-{number + i}") for i in range(1 + number % 3)]
            number += len(batch)
            stored = outbox.append(batch)
            ledger.writelines(f"{event.event_id} {event.track}\n" for event in stored)
            time.sleep(len(batch) / rate_hz)


def publish(config_path: str, log_path: str) -> None:
    """Be the publish process."""
    logging.basicConfig(filename=log_path, level=logging.INFO, force=True)
    run_publish_service(load_config(Path(config_path)), Notifier.from_environment())


def _jumping() -> ClockReading:
    """A clock that somebody sets both ways, by up to ten years, several times a second."""
    now = read_clock()
    chance = random.Random(int(now.monotonic_s * 5))
    return replace(
        now,
        utc_s=now.utc_s + chance.choice((0.0, 1.0, -1.0)) * chance.choice((1.0, 3600.0, 3e8)),
        synced=chance.random() < 0.7,
    )


def _quiet() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class Child:
    """A process that is started again after each kill.

    Args:
        target: What it runs; gets the number of the start and the arguments.
        arguments: Further arguments.
    """

    def __init__(self, target: Callable[..., None], arguments: Callable[[int], tuple[object, ...]]):
        self.kills = 0
        self._target = target
        self._arguments = arguments
        self._starts = 0
        self._process: BaseProcess | None = None

    def start(self) -> None:
        """Start it."""
        self._process = _context.Process(
            target=self._target, args=self._arguments(self._starts), daemon=True
        )
        self._starts += 1
        self._process.start()

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.is_alive():
            self._process.kill()
            self.kills += 1
        self._end()

    def stop(self) -> None:
        """SIGTERM, and wait for the clean end."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(30.0)
            self._end()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.is_alive()

    @property
    def pid(self) -> int:
        """Its process number."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def _end(self) -> None:
        if self._process is not None:
            self._process.join(30.0)
            self._process.close()
            self._process = None

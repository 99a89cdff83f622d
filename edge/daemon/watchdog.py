"""Each half as a service: its loop, what systemd is told of it, and its signals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.capture.protocol import CaptureState
from edge.config import demand_legal_basis
from edge.daemon.reload import Control
from edge.daemon.systemd import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from edge.capture.protocol import CaptureStatus
    from edge.config import Config


def run_vision_half(config: Config, *, isolation: str, path: Path | None = None) -> None:
    """Watch until a signal, or until a clip has ended.

    Args:
        config: The whole configuration.
        isolation: What keeps this process off the network.
        path: Where the configuration came from, to be read again on SIGHUP.

    Raises:
        ConfigError: No legal basis is stated.
    """
    demand_legal_basis(config, where="configuration" if path is None else str(path))

    from edge.daemon.vision import run_vision

    notifier = Notifier.from_environment()
    control = Control("vision", config, path)
    watch = VisionWatchdog(notifier)

    def alive(status: CaptureStatus) -> None:
        watch.turn(status)
        control.look()

    try:
        while True:
            run_vision(control.config, stop=control.stop, isolation=isolation, alive=alive)
            if not control.again():
                break
            watch.restart()
    finally:
        notifier.stopping()


def run_publish_half(config: Config, *, path: Path | None = None) -> None:
    """Publish until a signal.

    Args:
        config: The whole configuration.
        path: Where it came from, to be read again on SIGHUP.
    """
    from edge.publish.publisher import run_publisher

    notifier = Notifier.from_environment()
    control = Control("publish", config, path)
    watch = PublishWatchdog(notifier)

    def alive(state: str) -> None:
        watch.turn(state)
        control.look()

    try:
        while True:
            run_publisher(control.config, control.stop, alive=alive)
            if not control.again():
                break
    finally:
        notifier.stopping()


class VisionWatchdog:
    """Feeds the watchdog while capture and inference advance, or the camera is known to be away.

    A camera that claims to run but gives nothing, or an inference that hangs, starves it.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._ready = False
        self._frames = 0
        self._fed_s = float("-inf")

    def restart(self) -> None:
        """The camera is opened anew and counts its frames from zero."""
        self._frames = 0

    def turn(self, status: CaptureStatus) -> None:
        """Take note of one turn of the frame loop."""
        away = status.state is CaptureState.LOST
        advanced = status.frames > self._frames
        if not away and not advanced:
            return
        self._frames = status.frames
        self._notifier.status(f"no camera: {status.reason}" if away else "watching")
        if not self._ready:
            self._ready = True
            self._notifier.ready()
        now_s = time.monotonic()
        every_s = self._notifier.feed_every_s
        if every_s is not None and now_s - self._fed_s >= every_s:
            self._fed_s = now_s
            self._notifier.alive()


class PublishWatchdog:
    """Feeds the watchdog while the publisher turns; a lost broker is no reason to restart."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._ready = False
        self._fed_s = float("-inf")

    def turn(self, state: str) -> None:
        """Take note of one turn of the publisher."""
        self._notifier.status(f"broker: {state}")
        if not self._ready:
            self._ready = True
            self._notifier.ready()
        now_s = time.monotonic()
        every_s = self._notifier.feed_every_s
        if every_s is not None and now_s - self._fed_s >= every_s:
            self._fed_s = now_s
            self._notifier.alive()

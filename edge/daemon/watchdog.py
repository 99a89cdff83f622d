"""Each process as a service: its loop, its reports to systemd, and its signals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.capture.protocol import CaptureState
from edge.config import demand_legal_basis
from edge.daemon.reload import Control

if TYPE_CHECKING:
    from pathlib import Path

    from edge.capture.protocol import CaptureStatus
    from edge.config import Config
    from emoshift.systemd import Notifier


def run_vision_service(
    config: Config, notifier: Notifier, *, isolation: str, path: Path | None = None
) -> None:
    """Watch until a signal, or until a clip has ended.

    Args:
        config: The whole configuration.
        notifier: Connected to the service manager, if there is one.
        isolation: What keeps this process off the network.
        path: Where the configuration came from, to be read again on SIGHUP.

    Raises:
        ConfigError: No legal basis is stated.
    """
    demand_legal_basis(config, where="configuration" if path is None else str(path))

    from edge.daemon.vision import run_vision

    control = Control("vision", config, path)
    watchdog = VisionWatchdog(notifier)

    def on_progress(status: CaptureStatus) -> None:
        watchdog.update(status)
        control.act_on_signals()

    try:
        while True:
            run_vision(
                control.config, stop=control.stop, isolation=isolation, on_progress=on_progress
            )
            if not control.should_restart():
                break
            watchdog.restart()
    finally:
        notifier.stopping()


def run_publish_service(config: Config, notifier: Notifier, *, path: Path | None = None) -> None:
    """Publish until a signal.

    Args:
        config: The whole configuration.
        notifier: Connected to the service manager, if there is one.
        path: Where it came from, to be read again on SIGHUP.
    """
    from edge.publish.publisher import run_publisher

    control = Control("publish", config, path)
    watchdog = PublishWatchdog(notifier)

    def on_progress(state: str) -> None:
        watchdog.update(state)
        control.act_on_signals()

    try:
        while True:
            run_publisher(control.config, control.stop, on_progress=on_progress)
            if not control.should_restart():
                break
    finally:
        notifier.stopping()


class VisionWatchdog:
    """Pings the watchdog while capture and inference advance, or the camera is known to be away.

    A camera that claims to run but gives nothing, or an inference that hangs, stops the pings.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._ready = False
        self._frames = 0
        self._pinged_s = float("-inf")

    def restart(self) -> None:
        """The camera is opened anew and counts its frames from zero."""
        self._frames = 0

    def update(self, status: CaptureStatus) -> None:
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
        every_s = self._notifier.ping_every_s
        if every_s is not None and now_s - self._pinged_s >= every_s:
            self._pinged_s = now_s
            self._notifier.ping()


class PublishWatchdog:
    """Pings the watchdog while the publisher turns; a lost broker is no reason to restart."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._ready = False
        self._pinged_s = float("-inf")

    def update(self, state: str) -> None:
        """Take note of one turn of the publisher."""
        self._notifier.status(f"broker: {state}")
        if not self._ready:
            self._ready = True
            self._notifier.ready()
        now_s = time.monotonic()
        every_s = self._notifier.ping_every_s
        if every_s is not None and now_s - self._pinged_s >= every_s:
            self._pinged_s = now_s
            self._notifier.ping()

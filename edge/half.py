"""One half of the daemon as a process: ``python -m edge.half vision|publish [--config FILE]``.

Without ``--config`` the configuration comes as JSON on standard input, from `edge.supervise`;
so no secret ever stands on a command line, and the vision half never gets the broker's.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.capture.protocol import CaptureState
from edge.config import Config, load_config, parse_config
from edge.errors import ConfigError, EmoshiftError
from edge.identity import settle_name
from edge.isolation import Isolation, die_with_parent, isolate, needs_network
from edge.notify import Notifier
from edge.reload import Control

if TYPE_CHECKING:
    from edge.capture.protocol import CaptureStatus

log = logging.getLogger("edge.half")  # also when run as a module

HALVES: Final = ("vision", "publish")
LOG_FORMAT: Final = "%(levelname)s %(name)s: %(message)s"
JOURNAL_FORMAT: Final = "<%(priority)d>%(name)s: %(message)s"

_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def main(arguments: list[str] | None = None) -> int:
    """Run one half until a signal ends it; returns its exit code."""
    options = _parser().parse_args(arguments)
    set_up_logging(logging.DEBUG if options.verbose else logging.INFO)
    try:
        config = _read_config(options.config)
        run = run_vision_half if options.half == "vision" else run_publish_half
        run(config, path=options.config, parent=options.parent)
    except EmoshiftError as why:
        log.error("%s", why)  # noqa: TRY400 - expected: one line, no trace
        return why.exit_code
    return 0


def run_vision_half(config: Config, *, path: Path | None = None, parent: int | None = None) -> None:
    """Give the network up, then watch.

    Args:
        config: The whole configuration.
        path: Where it came from, to be read again on SIGHUP.
        parent: Process that must not be outlived.
    """
    notifier = Notifier.from_environment()
    if needs_network(config.camera.source):
        isolation = Isolation.NONE
        log.warning(
            "the camera is a network stream, so this process keeps the network: isolation none"
        )
    else:
        isolation = isolate()
        level = logging.WARNING if isolation is Isolation.NONE else logging.INFO
        log.log(level, "network of the vision process: isolation %s", isolation.value)
    if parent is not None:
        die_with_parent(parent, signal.SIGKILL)
    control = Control("vision", config, path)

    # Only now: whatever this imports starts its life without a network.
    from edge.vision import run_vision  # noqa: PLC0415 - see above

    watch = VisionWatchdog(notifier)

    def alive(status: CaptureStatus) -> None:
        watch.turn(status)
        control.look()

    try:
        while True:
            run_vision(control.config, stop=control.stop, isolation=isolation.value, alive=alive)
            if not control.again():
                break
            watch.restart()
    finally:
        notifier.stopping()


def run_publish_half(
    config: Config, *, path: Path | None = None, parent: int | None = None
) -> None:
    """Publish.

    Args:
        config: The whole configuration.
        path: Where it came from, to be read again on SIGHUP.
        parent: Process that must not be outlived.
    """
    from edge.publish.run import run_publisher  # noqa: PLC0415 - the vision half needs none of it

    notifier = Notifier.from_environment()
    if parent is not None:
        die_with_parent(parent, signal.SIGTERM)
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


def set_up_logging(level: int) -> None:
    """Log to standard error; with the priorities the journal understands, if that reads it."""
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ and not sys.stderr.isatty():
        handler.addFilter(_add_priority)
        handler.setFormatter(_OneLine(JOURNAL_FORMAT))
    else:
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])


class _OneLine(logging.Formatter):
    """Gives every line of a record the priority of its first."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        priority = text.partition(">")[0] + ">"
        return text.replace("\n", f"\n{priority}")


def _add_priority(record: logging.LogRecord) -> bool:
    record.priority = next((p for level, p in _PRIORITIES if record.levelno >= level), 7)
    return True


def _read_config(path: Path | None) -> Config:
    if path is not None:
        return settle_name(load_config(path))
    try:
        data = json.load(sys.stdin)
    except ValueError as why:
        raise ConfigError("standard input", [f"not JSON: {why}"]) from why
    return settle_name(parse_config(data, where="standard input"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge.half", description=__doc__)
    parser.add_argument("half", choices=HALVES)
    parser.add_argument("--config", type=Path, help="else JSON on standard input")
    parser.add_argument("--parent", type=int, help="process that must not be outlived")
    parser.add_argument("-v", "--verbose", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""One process of the daemon: ``python -m edge.daemon.process vision|publish [--config FILE]``.

Without ``--config`` the configuration comes as JSON on standard input, from
`edge.daemon.supervisor`; so no secret ever stands on a command line, and the vision process never
gets the broker's.

The vision process gives up the network here, before anything but the standard library is imported:
a library that starts threads while it is loaded would make a network namespace impossible.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from edge.daemon.isolation import (
    Isolation,
    die_with_parent,
    isolate,
    needs_local_sockets,
    needs_network,
    seal_memory,
)
from emoshift.errors import ConfigError, EmoshiftError
from emoshift.logs import set_up_logs
from emoshift.restarts import forget_starts, wait_before_start
from emoshift.systemd import Notifier
from emoshift.toml import read_toml

log = logging.getLogger("edge.daemon.process")  # also when run as a module

PROCESSES: Final = ("vision", "publish")


def main(arguments: list[str] | None = None) -> int:
    """Run one process until a signal ends it; returns its exit code."""
    options = _parser().parse_args(arguments)
    set_up_logs(logging.DEBUG if options.verbose else logging.INFO)
    try:
        data = _read_input() if options.config is None else None
        isolation = Isolation.NONE
        notifier = Notifier.from_environment()  # connected before that is forbidden
        wait_before_start(os.environ, on_wait=notifier.status)
        if options.process == "vision":
            isolation = _give_up_network(_peek_source(options.config, data))
        if options.parent is not None:
            # A publisher that loses its parent still drains; nothing may keep a camera open.
            number = signal.SIGKILL if options.process == "vision" else signal.SIGTERM
            die_with_parent(options.parent, number)
        seal_memory()
        _serve(options.process, options.config, data, isolation, notifier)
        forget_starts(os.environ)
    except EmoshiftError as why:
        log.error("%s", why)
        return why.exit_code
    return 0


def _serve(
    process: str, path: Path | None, data: object, isolation: Isolation, notifier: Notifier
) -> None:
    # Only now: whatever these import starts its life without a network.
    from edge.config import load_config, parse_config
    from edge.daemon.watchdog import run_publish_service, run_vision_service
    from edge.identity import settle_name

    if path is not None:
        config = load_config(path)
    elif isinstance(data, dict):
        config = parse_config(data, where="standard input")
    else:
        raise ConfigError("standard input", ["expected a JSON object"])
    config = settle_name(config)
    if process == "vision":
        run_vision_service(config, notifier, isolation=isolation.value, path=path)
    else:
        run_publish_service(config, notifier, path=path)


def _give_up_network(source: str) -> Isolation:
    if needs_network(source):
        log.warning("the camera is a network stream, so the vision process keeps the network")
        return Isolation.NONE
    isolation = isolate(local_sockets=needs_local_sockets(source))
    level = logging.WARNING if isolation is Isolation.NONE else logging.INFO
    log.log(level, "network of the vision process: isolation %s", isolation.value)
    return isolation


def _peek_source(path: Path | None, data: object) -> str:
    """Find the camera's source without validating anything, which comes later."""
    if path is not None:
        try:
            data = read_toml(path)
        except (OSError, ValueError):
            return ""
    table: Any = data.get("camera") if isinstance(data, dict) else None
    return str(table.get("source", "")) if isinstance(table, dict) else ""


def _read_input() -> object:
    try:
        return json.load(sys.stdin)
    except ValueError as why:
        raise ConfigError("standard input", [f"not JSON: {why}"]) from why


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge.daemon.process", description=__doc__)
    parser.add_argument("process", choices=PROCESSES)
    parser.add_argument("--config", type=Path, help="else JSON on standard input")
    parser.add_argument("--parent", type=int, help="process that must not be outlived")
    parser.add_argument("-v", "--verbose", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""SIGHUP re-reads the configuration: what can change live does, what cannot is named."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Final

from edge.config import Config, demand_legal_basis, load_config
from edge.daemon.isolation import needs_local_sockets, needs_network
from edge.identity import settle_name
from emoshift.errors import ConfigError
from emoshift.stop_flag import StopFlag

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_VISION: Final = (
    *("device", "camera", "faces", "models", "transitions", "outbox", "health", "privacy"),
    "mqtt.class_min_faces",
)
CONCERNS: Final = {
    "vision": _VISION,
    "publish": ("device", "outbox", "mqtt", "health", "privacy", "homeassistant"),
}
"""Which tables and keys matter to which process."""

FIXED: Final = ("outbox.path",)
"""Both processes must agree on these, so they only change when both are restarted."""


class Control:
    """What signals ask of a process: to end, or to go on with another configuration.

    The signal handlers only set a flag; `act_on_signals` acts on it, from the process's own loop.

    Args:
        process: Which process this is.
        config: The configuration to begin with.
        path: Where it came from; ``None`` where it cannot be read again.
    """

    def __init__(self, process: str, config: Config, path: Path | None) -> None:
        self.config = config
        self.stop = StopFlag()
        self._process = process
        self._path = path
        self._ended = False
        self._reload_requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end())
        signal.signal(signal.SIGHUP, lambda *_: self._request_reload())

    def should_restart(self) -> bool:
        """Whether to run once more, with the `config` of now, after `stop` was heard."""
        if self._ended or not self.stop.is_set():
            return False
        self.stop.clear()
        return not self._ended  # a signal may have come in between

    def act_on_signals(self) -> None:
        """Act on a SIGHUP that has come; cheap when none has."""
        if not self._reload_requested:
            return
        self._reload_requested = False
        if self._path is None:
            log.warning("SIGHUP ignored: the configuration did not come from a file")
            return
        try:
            found = settle_name(load_config(self._path))
            if self._process == "vision":
                demand_legal_basis(found, where=str(self._path))
        except ConfigError as why:
            log.error("not reloaded, the old configuration stays: %s", why)
            return
        found, held = hold_fixed(self.config, found)
        for key in held:
            log.warning("%s cannot change live; restart both services", key)
        changed = [
            key
            for key in changed_keys(self.config, found)
            if any(key == c or key.startswith(f"{c}.") for c in CONCERNS[self._process])
        ]
        self.config = found
        if changed:
            log.info("reloaded: %s", ", ".join(changed))
            self.stop.set()
        else:
            log.info("reloaded: nothing changes here")

    def _end(self) -> None:
        self._ended = True
        self.stop.set()

    def _request_reload(self) -> None:
        self._reload_requested = True


def changed_keys(before: Config, after: Config) -> list[str]:
    """Name the keys whose values differ, as ``table.key``."""
    return [
        f"{table}.{key}"
        for table in Config.model_fields
        for key in type(getattr(before, table)).model_fields
        if getattr(getattr(before, table), key) != getattr(getattr(after, table), key)
    ]


def hold_fixed(before: Config, after: Config) -> tuple[Config, list[str]]:
    """Put the old values back for keys that cannot change live; returns which."""
    held = [key for key in changed_keys(before, after) if key in FIXED]
    if _sockets(before.camera.source) != _sockets(after.camera.source):
        held.append("camera.source")  # the sockets were given up for good, or kept
    for name in held:
        table, _, key = name.partition(".")
        kept = getattr(getattr(before, table), key)
        held_table = getattr(after, table).model_copy(update={key: kept})
        after = after.model_copy(update={table: held_table})
    return after, held


def _sockets(source: str) -> tuple[bool, bool]:
    """What a camera source needs that a process gives up at its start."""
    return needs_network(source), needs_local_sockets(source)

"""Remembers over restarts on which topics a device announced itself to Home Assistant."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from emoshift.private_files import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)


class AnnouncedTopics:
    """The topics whose retained announcement is still at the broker, as far as is known.

    A file that cannot be read or written costs no event: what was announced before then stays
    until it is deleted by hand.

    Args:
        path: Its file, one topic a line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._topics = list(dict.fromkeys(path.read_text(encoding="utf-8").splitlines()))
        except FileNotFoundError:
            self._topics = []
        except (OSError, UnicodeDecodeError) as why:
            log.warning("%s: %s; earlier announcements are not taken back", path, why)
            self._topics = []

    def __iter__(self) -> Iterator[str]:
        """Yield the topics, the earliest first."""
        return iter(tuple(self._topics))

    def add(self, topic: str) -> None:
        """Remember a topic, before anything is sent to it."""
        if topic not in self._topics:
            self._topics.append(topic)
            self._write()

    def discard(self, topic: str) -> None:
        """Forget a topic that the broker has cleared."""
        if topic in self._topics:
            self._topics.remove(topic)
            self._write()

    def _write(self) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            make_private(new)
            new.write_text("".join(f"{topic}\n" for topic in self._topics), encoding="utf-8")
            new.replace(self._path)
        except OSError as why:
            log.warning("%s: %s", self._path, why)

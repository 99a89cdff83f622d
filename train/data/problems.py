"""What a reader could not read, reported instead of raised."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from emoshift.logs import printable

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problems:
    """Rows or files left out, one line each, naming where and what."""

    lines: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def warn(self, where: Path) -> None:
        """Log what was left out, once for each source."""
        if self.lines:
            _warn_once(f"{printable(str(where))}: {self.summary()}")

    def summary(self, show: int = 5) -> str:
        """Say how many and name the first few."""
        if not self.lines:
            return "all readable"
        named = "; ".join(self.lines[:show])
        more = f"; and {len(self.lines) - show} more" if len(self.lines) > show else ""
        return f"{len(self.lines)} left out: {named}{more}"


@cache
def _warn_once(message: str) -> None:
    _log.warning("%s", message)

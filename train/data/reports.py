"""What a reader could not read, told instead of raised."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problems:
    """Rows or files left out, one line each, naming where and what."""

    lines: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def summary(self, show: int = 5) -> str:
        """Say how many and name the first few."""
        if not self.lines:
            return "all readable"
        named = "; ".join(self.lines[:show])
        more = f"; and {len(self.lines) - show} more" if len(self.lines) > show else ""
        return f"{len(self.lines)} left out: {named}{more}"

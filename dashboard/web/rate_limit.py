"""The login rate limit: a few wrong passwords, then a wait that grows."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

FREE_TRIES: Final = 5
_FIRST_WAIT_S: Final = 15.0
_LONGEST_WAIT_S: Final = 900.0
_REMEMBERED: Final = 10_000


class Throttle:
    """Counts failures by key (an address, an account); pure but for its memory."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, *keys: str, now_s: float) -> float:
        """Return how long the next try must wait; 0 when it may be made now."""
        return max((self._wait_s(key, now_s) for key in keys), default=0.0)

    def _wait_s(self, key: str, now_s: float) -> float:
        count, last_s = self._failures.get(key, (0, 0.0))
        if count < FREE_TRIES:
            return 0.0
        pause_s = min(_FIRST_WAIT_S * 2.0 ** min(count - FREE_TRIES, 16), _LONGEST_WAIT_S)
        return max(0.0, last_s + pause_s - now_s)

    def fail(self, *keys: str, now_s: float) -> None:
        """Count one failure; half an hour without any forgives the earlier ones."""
        for key in keys:
            count, last_s = self._failures.pop(key, (0, now_s))
            if now_s - last_s > 2 * _LONGEST_WAIT_S:
                count = 0
            self._failures[key] = (count + 1, now_s)
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)

    def forgive(self, *keys: str) -> None:
        """Forget the failures of these keys."""
        for key in keys:
            self._failures.pop(key, None)

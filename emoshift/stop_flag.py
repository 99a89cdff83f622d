"""The wish to stop, as a signal handler may say it."""

from __future__ import annotations

import threading
import time
from typing import Final

_LOOK_S: Final = 0.05


class StopFlag(threading.Event):
    """An event that a signal handler may set at any moment.

    To set an event of `threading` takes a lock. A handler runs between any two instructions of the
    main thread, so where that has just taken the lock, to wait or to set the event itself, the
    handler would wait for the very code that it has interrupted. Here is no lock; a wait looks
    again and again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it has been set."""
        return self._is_set

    def set(self) -> None:
        """Ask to stop."""
        self._is_set = True

    def clear(self) -> None:
        """Take it back."""
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for so many seconds; whether it is set."""
        until_s = float("inf") if timeout is None else time.monotonic() + timeout
        while not self._is_set and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOK_S))
        return self._is_set

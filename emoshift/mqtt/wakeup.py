"""Ends the wait of a thread that polls: set by another thread, or by nobody."""

from __future__ import annotations

import contextlib
import select
import socket


class Wakeup:
    """Two connected sockets: what is written to one makes the other readable."""

    def __init__(self) -> None:
        self._sockets: tuple[socket.socket, socket.socket] | None = None

    def open(self) -> None:
        """Make the sockets; until then `set` does nothing."""
        self._sockets = socket.socketpair()
        for end in self._sockets:
            end.setblocking(False)

    def fileno(self) -> int:
        """What to poll for reading; -1 before `open`."""
        return -1 if self._sockets is None else self._sockets[0].fileno()

    def set(self) -> None:
        """End the wait, or the next one; from any thread."""
        if self._sockets is not None:
            with contextlib.suppress(OSError):  # full or closed: nobody needs to be woken
                self._sockets[1].send(b"!")

    def clear(self) -> None:
        """Take note of it."""
        if self._sockets is not None:
            with contextlib.suppress(OSError):
                self._sockets[0].recv(4096)

    def wait(self, timeout_s: float) -> None:
        """Wait until it is set, or the time is over."""
        waiting = select.poll()  # select() knows only the first 1,024 files of a busy server
        waiting.register(self, select.POLLIN)
        if waiting.poll(max(0.0, timeout_s) * 1000):
            self.clear()

    def close(self) -> None:
        """Close both sockets."""
        for end in self._sockets or ():
            end.close()

"""How a service reports to its manager: both ends of sd_notify(3), without its library."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """Sends states to the service manager, if there is one; otherwise does nothing.

    Connected when it is made, so that it keeps working in a network namespace of its own.

    Args:
        address: Of the manager's socket; ``@`` begins an abstract one.
        watchdog_s: After how long without a sign of life the manager restarts the service.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self.ping_every_s = None if watchdog_s is None else watchdog_s / 3
        self._status = ""
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            try:
                self._socket.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            except OSError:
                self.close()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Find the manager by the variables it sets."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID") in {None, "", str(os.getpid())}
        watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() and for_us else None
        return cls(environment.get("NOTIFY_SOCKET", ""), watchdog_s)

    def ready(self) -> None:
        """The service does its work now."""
        self._send("READY=1")

    def ping(self) -> None:
        """A sign of life for the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """What ``systemctl status`` shows; sent when it changes."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """The service ends by itself."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Forget the manager."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(message.encode())


class SignsOfLife:
    """The other end, for ``edge run``: hears one process at a time say that it lives.

    Args:
        watchdog_s: After how long without a sign of life a process that was ready is frozen.
    """

    def __init__(self, watchdog_s: float) -> None:
        self._watchdog_s = watchdog_s
        self._folder = tempfile.mkdtemp(prefix="emoshift-run-")  # ours alone
        self._address = f"{self._folder}/notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.bind(self._address)
        self._heard_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """Return what a process is to be started with, and forget the one before it."""
        self._read()
        self._heard_s = None
        microseconds = str(round(self._watchdog_s * 1e6))
        return {"NOTIFY_SOCKET": self._address, "WATCHDOG_USEC": microseconds, "WATCHDOG_PID": ""}

    def missing(self) -> bool:
        """Whether the process was ready once and has given no sign for too long."""
        self._read()
        return self._heard_s is not None and time.monotonic() - self._heard_s > self._watchdog_s

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                said = self._socket.recv(4096)
                if b"READY=1" in said or b"WATCHDOG=1" in said:
                    self._heard_s = time.monotonic()

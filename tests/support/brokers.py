"""Real brokers for tests: Mosquitto, or amqtt where it is not installed; and a bad wire."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Self

from emoshift.local_broker import find_mosquitto, free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

MOSQUITTO = find_mosquitto()
KIND = "mosquitto" if MOSQUITTO else "amqtt"


class BrokerProcess:
    """A broker in a process of its own, on a port of 127.0.0.1 that stays the same.

    Args:
        folder: For its configuration and log.
        settings: Further lines of Mosquitto's configuration.
        kind: ``mosquitto`` or ``amqtt`` (which speaks MQTT 3.1.1 only).
        anonymous: Whether it asks for no password.
        persistence: Whether it keeps sessions on disk; the settings say where.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: str = "",
        kind: str = KIND,
        anonymous: bool = True,
        persistence: bool = False,
    ) -> None:
        self.port = free_port()
        self.kind = kind
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "broker.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous {str(anonymous).lower()}\n"
            f"persistence {str(persistence).lower()}\nuser root\nlog_type all\n{settings}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it listens."""
        if self.kind == "mosquitto":
            command = [str(MOSQUITTO), "-c", str(self._config)]
        else:
            command = [sys.executable, "-m", "tests.support.brokers", str(self.port)]
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._listens)
        return self

    def kill(self) -> None:
        """End it without a goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        """What it has said."""
        return (self._folder / "broker.log").read_text(errors="replace")

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the broker ended: {self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class BadWire:
    """A TCP proxy that a test can cut, block, or let through a number of bytes.

    Args:
        port: Where it connects to, on 127.0.0.1.
        own_port: Where it listens; 0 takes a free one.

    Attributes:
        keep: Set to a byte array to have all that is carried kept in it.
        held_bytes: Received and not passed on, about.
    """

    def __init__(self, port: int, *, own_port: int = 0) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", own_port))
        self.port = int(self._server.getsockname()[1])
        self.connections = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._ends: list[socket.socket] = []
        self._back_left: int | None = None
        self._blocked = threading.Event()
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self.keep: bytearray | None = None
        self.held_bytes = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Reset every connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def cut_after(self, answered_bytes: int) -> None:
        """Reset the connection when the broker has answered this many bytes more."""
        self._back_left = answered_bytes

    def block(self) -> None:
        """Let nothing through, without closing anything."""
        self._open.clear()

    def unblock(self) -> None:
        """Let everything through again."""
        self._open.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5.0)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self.connections += 1
            with self._lock:
                self._pairs.append((near, far))
                self._ends += (near, far)
            for source, sink, back in ((near, far, False), (far, near, True)):
                thread = threading.Thread(target=self._pump, args=(source, sink, back))
                thread.start()
                self._threads.append(thread)

    def _pump(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                self.held_bytes += len(data)
                self._open.wait()
                self.held_bytes -= len(data)
                if self.keep is not None:
                    self.keep += data
                if back and self._back_left is not None:
                    data, over = data[: self._back_left], len(data) >= self._back_left
                    self._back_left -= len(data)
                    sink.sendall(data)
                    if over:
                        self._back_left = None
                        self.cut()
                        break
                else:
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()
        for thread in self._threads:
            thread.join(timeout=5.0)
        for end in self._ends:
            end.close()


async def _run_amqtt(port: int) -> None:
    from amqtt.broker import Broker

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
    )
    await broker.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run_amqtt(int(sys.argv[1])))

"""A broker of our own on the loopback interface, for the demonstration.

Mosquitto where it is installed, else the embedded `amqtt` (MQTT 3.1.1 only). This is the only
module that names either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST: Final = "127.0.0.1"
_START_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBroker:
    """A running broker."""

    name: str
    port: int


@contextmanager
def local_broker() -> Iterator[LocalBroker]:
    """Run a broker in a process of its own for as long as the context lasts.

    Raises:
        UnavailableError: Neither broker is installed, or it does not start.
    """
    port = free_port()
    mosquitto = shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin"
    )
    with tempfile.TemporaryDirectory(prefix="emoshift-broker-") as folder:
        if mosquitto:
            name = "mosquitto"
            settings = Path(folder) / "mosquitto.conf"
            settings.write_text(
                f"listener {port} {HOST}\nallow_anonymous true\npersistence false\n",
                encoding="utf-8",
            )
            command = [mosquitto, "-c", str(settings)]
        else:
            name = "amqtt"
            command = [sys.executable, "-m", "emoshift.local_broker", str(port)]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            _wait_for(process, name, port)
            yield LocalBroker(name=name, port=port)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def free_port() -> int:
    """A TCP port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], name: str, port: int) -> None:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            _, said = process.communicate()
            lines = said.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise UnavailableError(
                f"the broker {name} does not start: {lines[-1]}; run: sudo apt install mosquitto"
            )
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise UnavailableError(f"the broker {name} did not answer within {_START_S:g} s")


async def _serve(port: int) -> None:
    from amqtt.broker import Broker

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
    )
    await broker.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1])))

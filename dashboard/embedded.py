"""A broker for demonstrations and tests: Mosquitto where it is installed, amqtt otherwise."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from dashboard.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ANSWERS_S: Final = 15.0

# Events wait in the broker while a worker or the database is away: none may be dropped there.
MOSQUITTO_SETTINGS: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
user {user}
max_queued_messages 0
persistence {persistence}
persistence_location {folder}/
autosave_interval 1
"""


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_mosquitto() -> str | None:
    """Return the Mosquitto program, also where it is not on a user's path."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def broker(
    folder: Path, *, port: int, use_mosquitto: bool = True, persistent: bool = False
) -> Iterator[str]:
    """Run a broker on loopback while the block lasts, and say which one.

    Raises:
        UnavailableError: None is installed, or it does not answer.
    """
    if use_mosquitto and (program := find_mosquitto()) is not None:
        name, command = "Mosquitto", [program, "-c", str(folder / "mosquitto.conf")]
        text = MOSQUITTO_SETTINGS.format(
            port=port,
            folder=folder,
            persistence="true" if persistent else "false",
            user=getpass.getuser(),  # root would become another user, who may not write here
        )
        (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
    else:
        name, command = "amqtt", [sys.executable, "-m", "dashboard.embedded", str(port)]
    with (folder / "broker.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait_for(process, port, name, folder)
        yield name
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, name: str, folder: Path) -> None:
    until_s = time.monotonic() + _ANSWERS_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise UnavailableError(f"{name} did not start; see {folder / 'broker.log'}")


def serve_amqtt(port: int) -> None:
    """Run the embedded broker in this process until it is ended."""
    import asyncio

    from amqtt.broker import Broker

    settings = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }

    async def run() -> None:
        await Broker(settings).start()
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


if __name__ == "__main__":
    serve_amqtt(int(sys.argv[1]))

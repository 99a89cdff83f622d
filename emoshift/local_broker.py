"""A broker of our own on the loopback interface, for demonstrations, measurements and tests.

Mosquitto where it is installed, else the embedded `amqtt` (MQTT 3.1.1 only). This is the only
module that names either.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
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
_STOP_S: Final = 10.0

# Events wait in the broker while a subscriber or its database is away: none may be dropped there.
_MOSQUITTO: Final = """\
listener {port} {host}
allow_anonymous true
user {user}
max_queued_messages 0
persistence {persistence}
persistence_location {folder}/
autosave_interval 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBroker:
    """A running broker."""

    name: str
    port: int


def find_mosquitto() -> str | None:
    """Return the Mosquitto program, also where it is not on a user's path."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def local_broker(
    folder: Path | None = None,
    *,
    port: int | None = None,
    use_mosquitto: bool = True,
    persistent: bool = False,
) -> Iterator[LocalBroker]:
    """Run a broker in a process of its own for as long as the context lasts.

    Args:
        folder: Where its files lie; ``None`` makes a folder that is removed afterwards.
        port: Where it listens; ``None`` takes a free one.
        use_mosquitto: Whether to prefer Mosquitto to the embedded broker.
        persistent: Whether Mosquitto keeps what it holds in ``folder`` from one run to the next.

    Raises:
        UnavailableError: Neither broker is installed, or it does not start.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            made = tempfile.TemporaryDirectory(prefix="emoshift-broker-")
            folder = Path(stack.enter_context(made))
        port = port or free_port()
        if use_mosquitto and (program := find_mosquitto()) is not None:
            name, command = "mosquitto", [program, "-c", str(folder / "mosquitto.conf")]
            text = _MOSQUITTO.format(
                host=HOST,
                port=port,
                folder=folder,
                persistence="true" if persistent else "false",
                user=getpass.getuser(),  # root would become another user, who may not write here
            )
            (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
        else:
            name = "amqtt"
            command = [sys.executable, "-m", "emoshift.local_broker", str(port)]
        log = folder / "broker.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        stack.callback(_end, process)
        _wait_for(process, name, port, log)
        yield LocalBroker(name=name, port=port)


def free_port() -> int:
    """A TCP port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], name: str, port: int, log: Path) -> None:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            reason = lines[-1] if lines else "no reason given"
            raise UnavailableError(
                f"the broker {name} does not start: {reason}; run: sudo apt install mosquitto"
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

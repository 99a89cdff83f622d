"""Connections that strangers hold: TLS handshakes are counted and timed like requests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("uvicorn")

import uvicorn

from dashboard.web.connections import (
    MOST_INCOMPLETE_OF_ADDRESS,
    HandshakeLoop,
    limited_protocol,
)
from emoshift.local_broker import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from dashboard.web.connections import LimitedProtocol


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "crt"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *command, *name], check=True, cwd=folder, capture_output=True)
    return folder


async def hello(_scope: object, receive: Callable[[], Awaitable[object]], send) -> None:
    """An application that answers everything alike."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def serve(
    certificate: Path,
    work: Callable[[int, type[LimitedProtocol]], Awaitable[None]],
    **limits: float,
) -> None:
    """Run a server with TLS and the limits while some work lasts."""
    port, protocol = free_port(), limited_protocol(**limits)
    server = uvicorn.Server(
        uvicorn.Config(
            hello, host="127.0.0.1", port=port, lifespan="off", log_config=None, http=protocol,
            ssl_certfile=certificate / "crt", ssl_keyfile=certificate / "key",
            timeout_graceful_shutdown=1,
        )
    )  # fmt: skip

    async def run() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
            await asyncio.sleep(0.01)
        try:
            await work(port, protocol)
        finally:
            server.should_exit = True
            await serving

    with asyncio.Runner(loop_factory=HandshakeLoop) as runner:
        runner.run(run())


async def ask(port: int, certificate: Path) -> bytes:
    """Fetch the page over TLS, the request sent together with the end of the handshake."""
    context = ssl.create_default_context(cafile=certificate / "crt")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return answer


def test_handshakes_count(certificate):
    """However many never end, so many are open at most, and a page is served beside them."""
    silent: list[socket.socket] = []

    async def work(port, protocol):
        for number in range(4 * MOST_INCOMPLETE_OF_ADDRESS):
            one = socket.create_connection(("127.0.0.1", port), timeout=5)
            silent.append(one)
            if number % 2:
                one.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a handshake
            await asyncio.sleep(0)
        assert b"hello" in await ask(port, certificate)
        limits = protocol.limits
        assert limits.closed >= 3 * MOST_INCOMPLETE_OF_ADDRESS - 1
        assert limits.open_connections <= MOST_INCOMPLETE_OF_ADDRESS + 1

    try:
        serve(certificate, work)
    finally:
        for one in silent:
            one.close()


def test_a_slow_handshake_ends(certificate):
    """A handshake that does not go on is over after its time; so is what is no TLS at all."""

    async def work(port, protocol):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(OSError):
            assert b"hello" not in await asyncio.wait_for(reader.read(), 20)
        writer.close()
        while protocol.limits.open_connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert b"hello" in await ask(port, certificate)

    serve(certificate, work, request_s=0.3)

"""Strangers at a running dashboard: guesses all at once, and connections that never end."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("argon2")

from tests.attacks.server import NAME, PASSWORD, Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GUESSES = 300
SLOW = 1100


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A dashboard."""
    with serve(tmp_path) as found:
        yield found


def login_form(server: Server) -> tuple[str, str]:
    """Return the cookie and the token of a login form."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/login", headers={"accept": "text/html"})
    answer = connection.getresponse()
    text = answer.read().decode()
    cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
    token = re.search(r'name="csrf" value="([^"]+)"', text)
    connection.close()
    assert token is not None
    return cookie, token[1]


def guess(server: Server, password: str, cookie: str, token: str) -> int:
    form = urllib.parse.urlencode({"csrf": token, "name": NAME, "password": password})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    try:
        kind = "application/x-www-form-urlencoded"
        headers = {"cookie": cookie, "content-type": kind}
        connection.request("POST", "/login", form, headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_guesses_all_at_once(server):
    """Three hundred guesses at once, the right one among them: five are checked, none gets in."""
    cookie, token = login_form(server)
    before_mb = server.memory_mb()
    words = [f"guess {n}" for n in range(GUESSES - 1)]
    words.insert(GUESSES // 2, PASSWORD)
    with ThreadPoolExecutor(GUESSES) as pool:
        answers = list(pool.map(lambda word: guess(server, word, cookie, token), words))
    counts = {status: answers.count(status) for status in sorted(set(answers))}
    peak_mb = server.memory_mb(peak=True)
    sys.stdout.write(
        f"\n{GUESSES} guesses at once: {counts}; {before_mb:.0f} MB before, {peak_mb:.0f} at most\n"
    )
    assert answers.count(401) + answers.count(303) <= 5
    assert answers[GUESSES // 2] in {429, 0} or answers.count(401) < 5
    assert peak_mb < before_mb + 250


@pytest.mark.parametrize("said", [b"", b"GET /login HTTP/1.1\r\nHost: x\r\n", b"POST"], ids=repr)
def test_connections_that_never_end(server, said):
    """Eleven hundred unfinished requests: the pages still answer, the log stays small."""
    if said == b"POST":
        said = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\nname="
    slow: list[socket.socket] = []
    try:
        for _ in range(SLOW):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            slow.append(one)
            one.sendall(said)
        began_s = time.monotonic()
        assert server.get("/login") == 200
        took_s = time.monotonic() - began_s
        for one in slow[::10]:  # those that are still open go on dripping
            with contextlib.suppress(OSError):
                one.sendall(b"x")
        assert server.get("/login") == 200
    finally:
        for one in slow:
            one.close()
    size = server.log.stat().st_size
    sys.stdout.write(f"\n{SLOW} unfinished requests: page in {took_s:.2f} s, {size} bytes of log\n")
    assert size < 100_000


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "begun"])
def test_handshakes_that_never_end(tmp_path, said):
    """Eleven hundred unfinished TLS handshakes: the pages still answer."""
    with serve(tmp_path, tls=True) as server:
        slow: list[socket.socket] = []
        try:
            for _ in range(SLOW):
                one = socket.create_connection(("127.0.0.1", server.port), timeout=10)
                slow.append(one)
                with contextlib.suppress(OSError):
                    one.sendall(said)
            began_s = time.monotonic()
            assert server.get("/login") == 200
            took_s = time.monotonic() - began_s
        finally:
            for one in slow:
                one.close()
        descriptors, size = server.descriptors(), server.log.stat().st_size
    sys.stdout.write(
        f"\n{SLOW} unfinished handshakes: page in {took_s:.2f} s, {descriptors} descriptors,"
        f" {size} bytes of log\n"
    )
    assert descriptors < 200
    assert size < 100_000


def test_a_slow_request_ends(server):
    """A request that drips is over after its time, however often something comes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
        one.sendall(b"GET / HTTP/1.1\r\n")
        began_s = time.monotonic()
        with contextlib.suppress(OSError):  # reset, in the end
            while time.monotonic() - began_s < 40:
                one.sendall(b"X-Slow: 1\r\n")
                time.sleep(0.5)
        assert 10 < time.monotonic() - began_s < 25


def test_a_flood_of_nonsense_writes_little(server):
    """Ten thousand requests that are refused leave a few lines in the log."""
    requests = b"GET /class HTTP/1.1\r\nHost: x\r\n\r\n" * 99
    last = b"GET /class HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
            one.sendall(requests + last)
            while one.recv(65536):
                pass
    size = server.log.stat().st_size
    sys.stdout.write(f"\n10,000 refused requests: {size} bytes of log\n")
    assert size < 20_000

"""A dashboard as a process of its own, to be attacked."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.store.accounts import People, Role
from dashboard.store.database import open_store
from emoshift.local_broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME, PASSWORD = "anna", "the right password"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        port: Where it listens on loopback.
        process: The process.
        log: Where it writes.
        database: Its database.
        certificate: What browsers have to believe, where it speaks TLS.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    database: str
    certificate: Path | None = None

    def descriptors(self) -> int:
        """Return how many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def memory_mb(self, *, peak: bool = False) -> float:
        """Return its resident memory now, or at its highest, in MB."""
        wanted = "VmHWM:" if peak else "VmRSS:"
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith(wanted))
        return int(line.split()[1]) / 1024

    def get(self, path: str, *, timeout_s: float = 10.0) -> int:
        """Return the status of a page."""
        context, scheme = None, "http"
        if self.certificate is not None:
            context, scheme = ssl.create_default_context(cafile=self.certificate), "https"
        with urllib.request.urlopen(  # noqa: S310 - our own server
            f"{scheme}://127.0.0.1:{self.port}{path}", timeout=timeout_s, context=context
        ) as answer:
            answer.read()
            return int(answer.status)


@contextlib.contextmanager
def serve(folder: Path, *options: str, tls: bool = False) -> Iterator[Server]:
    """Run a dashboard without a worker and without a broker while the block lasts."""
    certificate = _make_certificate(folder) if tls else None
    if certificate is not None:
        options = (*options, "--config", str(folder / "dashboard.toml"))
    database, port, log = str(folder / "dashboard.db"), free_port(), folder / "log.txt"
    engine = open_store(database)
    People(engine).put(NAME, PASSWORD, Role.ADMIN)
    engine.dispose()
    # The usual limit of a service; an attacker needs more connections than that.
    limited = ["prlimit", "--nofile=1024:1024"] if shutil.which("prlimit") else []
    command = [
        *limited, sys.executable, "-m", "dashboard", "serve", "--no-worker", "--database", database,
        "--port", str(port), "--broker", f"127.0.0.1:{free_port()}", *options,
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder)
        server = Server(
            port=port, process=process, log=log, database=database, certificate=certificate
        )
        try:
            until_s = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError):
                    server.get("/login")
                    break
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < until_s
                time.sleep(0.1)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _make_certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1, its key and the settings that name them."""
    command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "crt"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *command, *name], check=True, cwd=folder, capture_output=True)
    text = f'[web]\ncert_file = "{folder / "crt"}"\nkey_file = "{folder / "key"}"\n'
    (folder / "dashboard.toml").write_text(text, encoding="utf-8")
    return folder / "crt"

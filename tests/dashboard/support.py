"""Real parts for the dashboard's tests: a PostgreSQL of their own, settings, patience."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashboard.config import Config, load_config
from dashboard.embedded import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_MS = 1_795_254_000_000
_NUMBERS = count(1)


def wait_until(holds: Callable[[], object], *, timeout_s: float = 30) -> None:
    """Wait for something that happens elsewhere; fails when it does not."""
    until_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.02)


class Postgres:
    """A PostgreSQL server of the tests' own, on loopback."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not found:
            pytest.skip("PostgreSQL is not installed; run: apt install postgresql")
        self._bin, self._folder, self.port = found[-1], folder, free_port()
        self._as = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
        if self._as:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        self._run("initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "-N")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        arguments = ("-D", str(self._folder / "data"), "-l", str(self._folder / "log"))
        self._run("pg_ctl", "start", "-w", *arguments, "-o", options)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-w", "-D", str(self._folder / "data"), "-m", "immediate")

    def make_database(self) -> str:
        import psycopg

        name = f"test_{next(_NUMBERS)}"
        address = f"postgresql://postgres@127.0.0.1:{self.port}"
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{address}/{name}"


def settings(port: int, database: str, **tables: dict[str, object]) -> Config:
    """Settings for a broker on loopback and a database."""
    broker = {"host": "127.0.0.1", "port": port}
    return load_config(None, broker=broker, history={"database": database}, **tables)

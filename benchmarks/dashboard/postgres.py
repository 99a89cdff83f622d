"""A PostgreSQL server of a measurement's or a test's own, on loopback, in a folder of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emoshift.errors import UnavailableError
from emoshift.local_broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTALLED: Final = Path("/usr/lib/postgresql")


class Postgres:
    """One server; its settings are PostgreSQL's own, so that a commit is on the disk.

    Attributes:
        address: Where it listens, without a database's name.
    """

    def __init__(self, folder: Path) -> None:
        """Make the server's files and start it.

        Raises:
            UnavailableError: PostgreSQL is not installed.
        """
        found = sorted(_INSTALLED.glob("*/bin"))
        if not found:
            raise UnavailableError("PostgreSQL is not installed; run: apt install postgresql")
        self._bin, self._folder, self._port = found[-1], folder, free_port()
        self.address = f"postgresql://postgres@127.0.0.1:{self._port}"
        self._made = 0
        # The server refuses to run as root.
        self._as = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
        if self._as:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-N")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        arguments = ("-D", str(self._folder / "data"), "-l", str(self._folder / "log"))
        self._run("pg_ctl", "start", "-w", "-t", "180", *arguments, "-o", options)

    def stop(self) -> None:
        """End it at once, as a power cut would: what is committed is all that is left."""
        self._run("pg_ctl", "stop", "-w", "-D", str(self._folder / "data"), "-m", "immediate")

    def make_database(self) -> str:
        """Make an empty database and return its address."""
        import psycopg

        self._made += 1
        name = f"made_{self._made}"
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"{self.address}/{name}"

    def processor_s(self) -> float:
        """Return the processor time that it has taken, all of its processes together."""
        main = (self._folder / "data/postmaster.pid").read_text(encoding="ascii").split()[0]
        own = [pid for pid in Path("/proc").glob("[0-9]*") if main in {pid.name, _parent(pid)}]
        return sum(process_s(int(pid.name)) for pid in own)


def _parent(process: Path) -> str:
    with contextlib.suppress(OSError):
        return (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
    return ""


def process_s(pid: int) -> float:
    """Return the processor time that a process has taken; 0 for one that is gone."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server while the block lasts.

    Raises:
        UnavailableError: PostgreSQL is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="emoshift-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # its user must get there
        server = Postgres(folder)
        try:
            yield server
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                server.stop()

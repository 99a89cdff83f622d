"""What a service sees: its program, user, environment and credentials, read from its unit.

The doctor goes on as that user with those, so that it finds what the service will find.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.commands.service import SERVICES, USER
from emoshift.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FOLDERS: Final = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""Where units lie; the first that has one wins."""
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """What both services are given, the publisher's after the vision process's.

    Attributes:
        program: The Python they run.
        environment: Their variables, without those of whoever runs the doctor.
        credentials: Where each credential, file or folder, lies for root; by its name.
    """

    program: str
    environment: Mapping[str, str]
    credentials: Mapping[str, Path]


def read_service_view(root: Path = Path("/")) -> ServiceView:
    """Read the units with everything that was laid over them (``systemctl edit``).

    Args:
        root: Where the system's files lie.
    """
    program, environment, credentials = sys.executable, dict[str, str](), dict[str, Path]()
    for unit in SERVICES:
        settings = _settings(unit, root)
        for command in settings.get("ExecStart", ())[-1:]:
            program = shlex.split(command)[0]
        for line in settings.get("Environment", ()):
            environment |= _variables(shlex.split(line))
        for name in settings.get("EnvironmentFile", ()):
            path = root / name.removeprefix("-").lstrip("/")
            if path.exists():
                environment |= _variables(
                    shlex.split(path.read_text(encoding="utf-8"), comments=True)
                )
        for line in settings.get("LoadCredential", ()):
            name, _, path_text = line.partition(":")
            credentials[name] = root / path_text.lstrip("/")
    return ServiceView(program=program, environment=environment, credentials=credentials)


@contextmanager
def lent_credentials(view: ServiceView, *, uid: int, gid: int) -> Iterator[Path]:
    """Lay out the credentials for the length of a block, as systemd does for the service.

    A file is there under its credential's name, each file of a folder under ``NAME_FILE``.

    Args:
        view: What the services are given.
        uid: Who may read them, and nobody else.
        gid: That user's group.
    """
    memory = Path("/dev/shm")  # noqa: S108 - secrets are not to reach a disk
    folder = Path(tempfile.mkdtemp(prefix="emoshift-", dir=memory if memory.is_dir() else None))
    try:
        for name, source in view.credentials.items():
            if source.is_dir():
                files = {f"{name}_{file.name}": file for file in source.iterdir() if file.is_file()}
            else:
                files = {name: source} if source.is_file() else {}
            for target, file in files.items():
                _lend(file, folder / target, uid, gid)
        os.chown(folder, uid, gid)
        folder.chmod(0o500)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def service_account() -> pwd.struct_passwd:
    """Return the services' account.

    Raises:
        UsageError: Not root.
        UnavailableError: There is no such user.
    """
    if os.geteuid() != 0:
        raise UsageError("only root can look as the service does; run: sudo edge doctor")
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        raise UnavailableError(
            f"there is no user {USER}; install the package, or run: edge service install"
        ) from None


def environment_of(
    view: ServiceView, account: pwd.struct_passwd, credentials: Path
) -> dict[str, str]:
    """Return all variables that a service would have, and no others."""
    return {
        "PATH": _PATH,
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        **view.environment,
        "CREDENTIALS_DIRECTORY": str(credentials),
    }


def _settings(unit: str, root: Path) -> dict[str, list[str]]:
    """All values of each key of ``[Service]``; an empty value takes back those before it."""
    folders = [root / folder for folder in _FOLDERS]
    files = [folder / unit for folder in folders if (folder / unit).exists()][:1]
    dropins = {p.name: p for f in reversed(folders) for p in (f / f"{unit}.d").glob("*.conf")}
    files += [dropins[name] for name in sorted(dropins)]
    found: dict[str, list[str]] = {}
    for file in files:
        section = ""
        for line in file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            text = line.strip()
            if text.startswith("["):
                section = text
            key, equals, value = text.partition("=")
            if section != "[Service]" or not equals or text.startswith(("#", ";")):
                continue
            if value.strip():
                found.setdefault(key.strip(), []).append(value.strip())
            else:
                found.pop(key.strip(), None)
    return found


def _variables(words: list[str]) -> dict[str, str]:
    pairs = (word.partition("=") for word in words)
    return {name: value for name, equals, value in pairs if equals}


def _lend(file: Path, target: Path, uid: int, gid: int) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "wb") as out:
        out.write(file.read_bytes())
        os.fchown(out.fileno(), uid, gid)

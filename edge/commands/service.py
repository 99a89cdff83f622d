"""``edge service``: the systemd units for an environment made with pip, as the package has."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emoshift.errors import OutputError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICES: Final = ("emoshift-vision.service", "emoshift-publish.service")
TARGET: Final = "emoshift.target"
USER: Final = "emoshift"
_SOURCES: Final = Path(__file__).parent.parent / "daemon" / "units"
"""In a checkout a link to ``systemd/``; in an installed package the files themselves."""
_PACKAGED: Final = "/usr/lib/emoshift/python"
_HEADER: Final = "# Written by `edge service install`; `edge service remove` takes it away.\n"
_HIDDEN: Final = {"home", "root", "tmp"}
"""Folders that the units hide from a service."""


def unit_texts(python: str) -> dict[str, str]:
    """Return the text of every unit, by file name, with ``python`` as its interpreter."""
    return {
        name: _HEADER + (_SOURCES / name).read_text(encoding="utf-8").replace(_PACKAGED, python)
        for name in (*SERVICES, TARGET)
    }


def install_service(log: Callable[[str], None], *, root: Path = Path("/")) -> None:
    """Write the units, make the service's user and folders, and enable the units.

    Args:
        log: Gets one line for each thing done.
        root: Where the system's files lie; another one for tests and images.

    Raises:
        UnavailableError: Not root, a package has its own units, or the environment is hidden from
            services.
        OutputError: A unit cannot be written.
    """
    python = _interpreter(root)
    here = root == Path("/")
    if here:
        _make_user(log)
    folder = root / "etc/systemd/system"
    for name, text in unit_texts(python).items():
        _write(folder / name, text, 0o644)
        log(f"wrote {folder / name}")
    for path, mode in ((root / "etc/emoshift", 0o750), (root / "var/lib/emoshift", 0o750)):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    if here:
        shutil.chown("/etc/emoshift", "root", USER)
        shutil.chown("/var/lib/emoshift", USER, USER)
        _systemctl(log, "daemon-reload")
        _systemctl(log, "enable", "--quiet", TARGET, *SERVICES)
        log(f"next: {Path(sys.executable).with_name('edge')} init")


def remove_service(log: Callable[[str], None], *, root: Path = Path("/")) -> None:
    """Stop, disable and remove the units that `install_service` wrote; data stay.

    Raises:
        UnavailableError: Not root.
        OutputError: A unit cannot be removed.
    """
    here = root == Path("/")
    _demand_root(root)
    if here:
        _systemctl(log, "disable", "--quiet", "--now", TARGET, *SERVICES)
    for name in (*SERVICES, TARGET):
        path = root / "etc/systemd/system" / name
        if not path.exists():
            continue
        if not path.read_text(encoding="utf-8").startswith(_HEADER):
            log(f"left {path}: not written by `edge service install`")
            continue
        try:
            path.unlink()
        except OSError as why:
            raise OutputError(f"{path}: cannot be removed: {why.strerror}") from why
        log(f"removed {path}")
    if here:
        _systemctl(log, "daemon-reload")
        log("left: /etc/emoshift, /var/lib/emoshift and the user emoshift")


def _demand_root(root: Path) -> None:
    if root == Path("/") and os.geteuid() != 0:
        raise UnavailableError("services are root's; run: sudo edge service ...")


def _interpreter(root: Path) -> str:
    _demand_root(root)
    if root == Path("/"):
        if Path(_PACKAGED).exists():
            raise UnavailableError(
                "the Debian package is installed and brings its own services; nothing to do"
            )
        demand_visible(Path(sys.executable), Path(sys.base_prefix))
    return sys.executable


def demand_visible(environment: Path, base: Path) -> None:
    """Refuse an environment that services cannot start.

    Args:
        environment: Its interpreter.
        base: Where the Python lies that it was made with.

    Raises:
        UnavailableError: One of them lies in a folder that the units hide.
    """
    if environment.parts[1] in _HIDDEN:
        raise UnavailableError(
            f"{environment}: services do not see /home, /root and /tmp;"
            " make the environment in /opt/emoshift instead"
        )
    if base.parts[1] in _HIDDEN:
        raise UnavailableError(
            f"{environment} was made with the Python in {base}, and services do not see /home,"
            " /root and /tmp; make it anew: /usr/bin/python3 -m venv --clear /opt/emoshift"
        )


def become_service_user() -> None:
    """Go on as the service's user, so that what follows sees what the service will see.

    Raises:
        UsageError: Not root.
        UnavailableError: There is no such user.
    """
    if os.geteuid() != 0:
        raise UsageError("only root can look as the service does; run: sudo edge doctor")
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        raise UnavailableError(
            f"there is no user {USER}; install the package, or run: edge service install"
        ) from None
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"] = user.pw_dir
    os.environ.pop("XDG_CACHE_HOME", None)


def has_service_user() -> bool:
    """Whether this process may become the service's user."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return os.geteuid() == 0


def _make_user(log: Callable[[str], None]) -> None:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        home = ("--no-create-home", "--home-dir", "/var/lib/emoshift")
        _run("useradd", "--system", "--user-group", *home, "--shell", "/usr/sbin/nologin", USER)
        log(f"made the user {USER}")
    _run("usermod", "--append", "--groups", "video", USER)


def _systemctl(log: Callable[[str], None], *arguments: str) -> None:
    if Path("/run/systemd/system").is_dir():
        _run("systemctl", *arguments)
    else:
        log(f"systemd does not run here; later: systemctl {' '.join(arguments)}")


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as why:
        raise UnavailableError(f"{command[0]}: {why.strerror}") from why
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise UnavailableError(f"{' '.join(command)}: {said[-1] if said else done.returncode}")


def _write(path: Path, text: str, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
    except OSError as why:
        raise OutputError(f"{path}: cannot be written: {why.strerror}") from why

"""The services: whether they are installed, enabled and running."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.commands.service import SERVICES
from edge.doctor.finding import ENABLE_SERVICES, START_SERVICES, Finding, edge

if TYPE_CHECKING:
    from collections.abc import Iterator

VISION: Final = SERVICES[0]


def systemd_runs() -> bool:
    """Whether this machine is run by systemd; a container or a chroot is not."""
    return Path("/run/systemd/system").is_dir()


def is_active(unit: str) -> bool:
    """Whether a unit runs."""
    return systemd_runs() and _show(unit)["ActiveState"] in {"active", "activating", "reloading"}


def examine_services() -> Iterator[Finding]:
    """Check each unit; one finding in all where systemd does not run."""
    if not systemd_runs():
        detail = "systemd does not run here: nothing to look at (edge run starts both processes)"
        yield Finding(what="services", good=True, detail=detail)
        return
    for unit in SERVICES:
        yield _service(unit)


def _service(unit: str) -> Finding:
    shown = _show(unit)
    name = unit.removeprefix("emoshift-").removesuffix(".service")
    if shown["LoadState"] != "loaded":
        detail = f"{unit} is not installed"
        return Finding(what=name, good=False, detail=detail, cures=edge("service", "install"))
    state, enabled = shown["ActiveState"], shown["UnitFileState"]
    restarts = shown["NRestarts"]
    found = f"{unit} is {state} and {enabled}, {restarts} restarts"
    if state in {"active", "activating", "reloading"}:
        cures = () if enabled == "enabled" else (ENABLE_SERVICES,)
        return Finding(what=name, good=not cures, detail=found, cures=cures)
    return Finding(
        what=name,
        good=False,
        detail=f"{found}; why: journalctl -u {unit} -n 20",
        cures=(START_SERVICES,),
    )


def _show(unit: str) -> dict[str, str]:
    keys = ("LoadState", "ActiveState", "UnitFileState", "NRestarts")
    systemctl = shutil.which("systemctl") or "/usr/bin/systemctl"
    done = subprocess.run(
        [systemctl, "show", unit, *(f"--property={key}" for key in keys)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return {key: found.get(key, "") for key in keys}

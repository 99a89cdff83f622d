"""The units: understood by systemd, tight, and true to what the code needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.daemon.isolation import PRIVATE_NETWORK
from edge.daemon.supervisor import FINAL_CODES
from edge.health.room_trend import trend_path
from emoshift.restarts import FILE

UNITS = Path(__file__).resolve().parent.parent / "systemd"
DASHBOARD = {"emoshift-dashboard.service": 1.3}
SERVICES = {"emoshift-vision.service": 1.2, "emoshift-publish.service": 1.5}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@needs_systemd
def test_units_are_understood(tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say (the program itself is not installed here)."""
    for unit in UNITS.glob("emoshift*"):
        text = unit.read_text()
        (tmp_path / unit.name).write_text(
            re.sub(r"/usr/lib/emoshift(-dashboard)?/python", "/bin/sh", text)
        )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    ours = [line for line in done.stderr.splitlines() if "emoshift" in line]
    assert ours == []
    assert done.returncode == 0


@needs_systemd
@pytest.mark.parametrize(("service", "most"), {**SERVICES, **DASHBOARD}.items())
def test_exposure(service: str, most: float) -> None:
    """``systemd-analyze security`` gives no service more than it has."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / service)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= most


@pytest.mark.parametrize("service", SERVICES)
def test_what_cannot_work_is_not_retried(service: str) -> None:
    """The units and ``edge run`` agree on which exit codes another start would only repeat."""
    text = (UNITS / service).read_text()
    codes = re.search(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)
    assert codes is not None
    assert tuple(map(int, codes[1].split())) == FINAL_CODES


def test_vision_has_no_network_and_publish_no_device() -> None:
    """The two walls stand in the units themselves."""
    vision = (UNITS / "emoshift-vision.service").read_text().splitlines()
    publish = (UNITS / "emoshift-publish.service").read_text().splitlines()
    assert {"PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any"} <= set(
        vision
    )
    assert f"Environment={PRIVATE_NETWORK}=1" in vision
    assert {"PrivateDevices=yes", "DevicePolicy=closed"} <= set(publish)
    assert not [line for line in publish if line.startswith(("DeviceAllow", "Supplementary"))]


@pytest.mark.parametrize("service", {**SERVICES, **DASHBOARD})
def test_memory_is_bounded_and_dumped_nowhere(service: str) -> None:
    """Every service has a limit of memory and leaves no core; pictures are not swapped out."""
    lines = (UNITS / service).read_text().splitlines()
    assert any(line.startswith("MemoryMax=") for line in lines)
    assert "LimitCORE=0" in lines
    if "vision" in service:
        assert "MemorySwapMax=0" in lines


@pytest.mark.parametrize("service", {**SERVICES, **DASHBOARD})
def test_restarts_back_off(service: str) -> None:
    """The units name the file that counts starts in a row, which no other service may write."""
    name = service.removesuffix(".service")
    lines = (UNITS / service).read_text().splitlines()
    assert f"Environment={FILE}=/run/{name}/starts" in lines
    assert "RuntimeDirectoryPreserve=yes" in lines
    assert "ReadOnlyPaths=/run" in lines  # which ProtectSystem=strict leaves writable
    folders = next(line for line in lines if line.startswith("RuntimeDirectory=")).split("=")[1]
    assert name in folders.split()
    others = {*SERVICES, *DASHBOARD} - {service}
    for other in others:
        assert f"RuntimeDirectory={name}" not in (UNITS / other).read_text()


def test_what_vision_keeps_is_its_own() -> None:
    """Its means of the room lie in a folder that no other unit may write."""
    lines = (UNITS / "emoshift-vision.service").read_text().splitlines()
    folders = next(line for line in lines if line.startswith("StateDirectory=")).split("=")[1]
    given = ":".join(f"/var/lib/{name}" for name in folders.split())
    path = trend_path(Path("/var/lib/emoshift/outbox.db"), {"STATE_DIRECTORY": given})
    assert path.parent == Path("/var/lib/emoshift-vision")
    assert "emoshift-vision" not in (UNITS / "emoshift-publish.service").read_text().replace(
        "emoshift-vision.service", ""
    )
    assert trend_path(Path("/x/outbox.db"), {}).parent == Path("/x")

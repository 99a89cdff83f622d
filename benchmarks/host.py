"""What this machine is, and how it is doing: read from the kernel, nothing guessed."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.reports.schema import MachineCondition, MachineInfo
from edge import __version__
from edge.health.board import board_name, read_condition
from edge.litert import runtime_name

if TYPE_CHECKING:
    from benchmarks.reports.schema import Mode

# Bits 0 to 3 of the Raspberry Pi firmware's word say what is so now, 16 to 19 what has been.
_NOW: Final = 0b1111
_PAST: Final = 0b1111 << 16
_LIBRARIES: Final = ("numpy", "opencv-python-headless", "mediapipe", "tensorflow")


def read_device(root: Path = Path("/")) -> MachineInfo:
    """Describe the machine.

    Args:
        root: Where ``proc`` and ``sys`` are mounted.
    """
    name = re.sub(r"\s+", " ", board_name(root / "proc")).strip() or "unknown"
    cores = len(os.sched_getaffinity(0))
    top = _numbers(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq")
    frequency_mhz = max(top) / 1000 if top else max(_cpuinfo_mhz(root), default=None)
    words = [name, f"{cores} cores", platform.machine()]
    return MachineInfo(
        name=name,
        key=re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-"),
        machine=platform.machine(),
        system=f"{platform.system()} {platform.release()}",
        cores=cores,
        memory_mb=_memory_mb(root),
        frequency_mhz=frequency_mhz,
    )


def read_state(root: Path = Path("/")) -> MachineCondition:
    """Read frequency, temperature, throttling and load."""
    present = [
        khz / 1000
        for khz in _numbers(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    ] or _cpuinfo_mhz(root)
    events = _numbers(root, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
    words = _numbers(root, "sys/devices/platform/soc/soc:firmware/get_throttled", base=16)
    return MachineCondition(
        frequency_mhz=round(sum(present) / len(present), 1) if present else None,
        temperature_c=read_condition(root / "sys").temperature_c,
        throttled=words[0] if words else None,
        throttle_events=sum(events) if events else None,
        load=round(os.getloadavg()[0], 2),
    )


def has_throttled(before: MachineCondition, after: MachineCondition) -> bool:
    """Whether the chip slowed itself down between two readings.

    On a Raspberry Pi: something is so now, or a mark of the past has newly been set.
    """
    if after.throttled is not None and (
        after.throttled & _NOW or after.throttled & ~(before.throttled or 0) & _PAST
    ):
        return True
    return (after.throttle_events or 0) > (before.throttle_events or 0)


def how_measured() -> Mode:
    """``emulated`` where QEMU's user mode runs this program, else ``measured``."""
    return "emulated" if os.environ.get("QEMU_CPU") else "measured"


def software() -> dict[str, str]:
    """Versions of everything that can change a figure."""
    found = {"emoshift": __version__, "python": platform.python_version()}
    runtime, version = runtime_name().rsplit(" ", 1)
    found[runtime] = version
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def memory_now(root: Path = Path("/proc/self")) -> tuple[float, float | None]:
    """Resident and proportional size of this process, megabytes; the second where known."""
    pages = int((root / "statm").read_text(encoding="ascii").split()[1])
    rss_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    try:
        text = (root / "smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return rss_mb, None
    found = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
    return rss_mb, int(found[1]) * 1024 / 1e6 if found else None


def _numbers(root: Path, pattern: str, base: int = 10) -> list[int]:
    found = []
    for path in sorted(root.glob(pattern)):
        try:
            found.append(int(path.read_text(encoding="ascii").strip(), base))
        except (OSError, ValueError):
            continue
    return found


def _cpuinfo_mhz(root: Path) -> list[float]:
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [float(mhz) for mhz in re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", text, re.MULTILINE)]


def _memory_mb(root: Path) -> int:
    try:
        text = (root / "proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^MemTotal:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 // 1_000_000 if found else 0

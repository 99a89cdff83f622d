"""What this processor can run, read from the text of ``/proc/cpuinfo``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_FEATURES: Final = re.compile(r"^Features\s*:\s*(.*)$", re.MULTILINE)


def lacks_atomics(cpuinfo: str) -> bool:
    """Tell whether this is an ARMv8.0 processor: 64-bit ARM without the ``atomics`` (LSE).

    MediaPipe 1.0 and later abort on it (Raspberry Pi 4 and older, Zero 2 W, Jetson Nano).

    Args:
        cpuinfo: Text of ``/proc/cpuinfo``; that of other architectures has no ``Features`` line.
    """
    found = _FEATURES.findall(cpuinfo)
    return bool(found) and not all("atomics" in features.split() for features in found)


def mediapipe_obstacle(cpuinfo: str, version: str) -> str | None:
    """Say why a MediaPipe release cannot run on this processor; ``None`` when it can.

    Args:
        cpuinfo: Text of ``/proc/cpuinfo``.
        version: Installed release, such as ``1.2.2``.
    """
    if lacks_atomics(cpuinfo) and int(version.split(".", 1)[0]) >= 1:
        return (
            f"MediaPipe {version} needs ARMv8.1 atomics, which this processor lacks"
            " (Raspberry Pi 4 and older, Jetson Nano)"
        )
    return None


def read_cpuinfo() -> str:
    """Text of ``/proc/cpuinfo``, empty where there is none."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

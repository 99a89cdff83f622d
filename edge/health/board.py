"""The board: its model, temperature, throttling and memory."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NEAR_LIMIT_C: Final = 80.0
"""Pi and Jetson throttle from 85 degrees; load is shed a little before."""

# Bits 0 to 3 of the firmware's word: under-voltage, capped, throttled, soft temperature limit now.
_THROTTLED_NOW: Final = 0b1111
_THROTTLING: Final = ("under-voltage", "capped clock", "throttled", "soft temperature limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardCondition:
    """The board at one instant; ``None`` where it does not say.

    Attributes:
        temperature_c: Hottest thermal zone, degrees Celsius.
        throttled: Whether the chip slows itself down right now.
    """

    temperature_c: float | None
    throttled: bool | None

    @property
    def hot(self) -> bool:
        """Whether load should be shed for the chip's sake."""
        return bool(self.throttled) or (
            self.temperature_c is not None and self.temperature_c >= NEAR_LIMIT_C
        )


def read_condition(root: Path = Path("/sys")) -> BoardCondition:
    """Read the thermal zones and, on a Raspberry Pi, the firmware's throttling word.

    Args:
        root: Where sysfs is mounted.
    """
    zones = (_number(zone / "temp", 10) for zone in root.glob("class/thermal/thermal_zone*"))
    temperatures = [value / 1000 for value in zones if value is not None and value > 0]
    word = read_throttling(root)
    return BoardCondition(
        temperature_c=max(temperatures, default=None),
        throttled=None if word is None else bool(word & _THROTTLED_NOW),
    )


def read_throttling(root: Path = Path("/sys")) -> int | None:
    """Return a Raspberry Pi's throttling word; ``None`` where the kernel shows none.

    Args:
        root: Where sysfs is mounted.
    """
    # soc/soc:firmware up to the Pi 4; later ones carry the address, soc@107c000000.
    words = (_number(p, 16) for p in root.glob("devices/platform/soc*/soc*:firmware/get_throttled"))
    return next((value for value in words if value is not None), None)


def describe_throttling(word: int) -> str:
    """Say what a throttling word means, in one line; empty where nothing is or was wrong.

    Bits 0 to 3 are now, 16 to 19 since the board was started: under-voltage, frequency capped,
    throttled, soft temperature limit (https://www.raspberrypi.com/documentation/computers/os.html).
    """
    said = [
        f"{what} {when}"
        for bit, what in enumerate(_THROTTLING)
        for when, shift in (("now", 0), ("since it was started", 16))
        if word >> (bit + shift) & 1 and not (shift and word >> bit & 1)
    ]
    if not said:
        return ""
    supply = "; use the board's own power supply" if word & 0x10001 else "; cool the board"
    return ", ".join(said) + supply


def board_name(root: Path = Path("/proc")) -> str:
    """Name the board as its device tree does, or the processor on other machines."""
    try:
        return (root / "device-tree/model").read_text(encoding="utf-8").strip("\0\n ")
    except OSError:
        pass
    try:
        lines = (root / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")


def give_back_memory() -> None:
    """Return what is free to the system, as far as the C library can; 2 to 5 ms.

    glibc keeps what a full classroom took until chance frees the top of its heap (``malloc_trim``,
    https://man7.org/linux/man-pages/man3/malloc_trim.3.html). Another library has no such call and
    is left alone.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _number(path: Path, base: int) -> int | None:
    try:
        return int(path.read_text(encoding="ascii").strip(), base)
    except (OSError, ValueError):
        return None

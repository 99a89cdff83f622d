"""Restarts that back off: a service that ends again and again waits longer before each start.

systemd counts restarts, but before version 254 it waits the same time before each. So the starts
are kept in a small file, and a process that follows several short lives waits before it begins.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILE: Final = "EMOSHIFT_STARTS"
"""Environment variable: the file that counts starts; without it nothing waits."""
SHORT_LIFE_S: Final = 120.0
"""A process that ran for longer ended for another reason than the one before it."""
FREE_STARTS: Final = 3
LONGEST_S: Final = 60.0

_FIRST_S: Final = 2.0
_COUNTED: Final = re.compile(rb"([0-9]{1,9}) ([0-9]{1,12})\n")
_LONGEST: Final = 32


def wait_before_start(
    environment: Mapping[str, str],
    *,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    now_s: Callable[[], float] = time.time,
) -> float:
    """Count this start and wait, if the ones before it were short-lived.

    Args:
        environment: Names the file, see `FILE`.
        on_wait: Called with what there is to say while it waits.
        sleep: Waits.
        now_s: The time, seconds; one that jumps backwards counts from anew.

    Returns:
        How long it waited, seconds.
    """
    if not (name := environment.get(FILE)):
        return 0.0
    path, began_s = Path(name), now_s()
    starts, last_s = _read(path)
    starts = starts + 1 if 0 <= began_s - last_s < SHORT_LIFE_S else 1
    late = starts - FREE_STARTS
    delay_s = min(_FIRST_S * 2.0 ** min(late, 16), LONGEST_S) if late > 0 else 0.0
    if delay_s:
        on_wait(f"start {starts} in a row; waits {delay_s:.0f} s")
        sleep(delay_s)
    with contextlib.suppress(OSError):
        path.write_bytes(b"%d %d\n" % (starts, now_s()))
        path.chmod(0o600)
    return delay_s


def forget_starts(environment: Mapping[str, str]) -> None:
    """A clean stop: the next start waits for nothing."""
    if name := environment.get(FILE):
        with contextlib.suppress(OSError):
            Path(name).unlink(missing_ok=True)


def _read(path: Path) -> tuple[int, float]:
    """Read what was counted; nothing but two short numbers is looked at."""
    try:
        with path.open("rb") as file:
            found = _COUNTED.fullmatch(file.read(_LONGEST))
    except OSError:
        found = None
    return (0, 0.0) if found is None else (int(found[1]), float(found[2]))

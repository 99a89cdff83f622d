"""A service that ends again and again waits longer before each start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emoshift.restarts import FILE, LONGEST_S, forget_starts, wait_before_start
from tests.support.clocks import SleepingClock

if TYPE_CHECKING:
    from pathlib import Path


def starts(environment: dict[str, str], clock: SleepingClock, lives_s: list[float]) -> list[float]:
    waits = []
    for life_s in lives_s:
        waits.append(wait_before_start(environment, sleep=clock.sleep, now_s=lambda: clock.now_s))
        clock.sleep(life_s)
    return waits


def test_short_lives_wait_longer_and_longer(tmp_path: Path) -> None:
    """Three starts are free, then each waits twice as long, up to a minute."""
    environment = {FILE: str(tmp_path / "starts")}
    waits = starts(environment, SleepingClock(), [1.0] * 10)
    assert waits == [0, 0, 0, 4, 8, 16, 32, LONGEST_S, LONGEST_S, LONGEST_S]


def test_a_long_life_or_a_clean_stop_begins_anew(tmp_path: Path) -> None:
    """What ran for long, or was stopped, starts at once."""
    environment, clock = {FILE: str(tmp_path / "starts")}, SleepingClock()
    assert starts(environment, clock, [1.0] * 4 + [3600.0, 1.0])[-1] == 0
    starts(environment, clock, [1.0] * 5)
    forget_starts(environment)
    assert starts(environment, clock, [1.0]) == [0]
    assert (tmp_path / "starts").stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_or_none(tmp_path: Path) -> None:
    """Whatever stands in the file, the service starts."""
    path = tmp_path / "starts"
    for text in ("", "{}", "[9, 1]", "-1 2\n", "9 9e99\n", "9" * 40, "9 1\n9 1\n"):
        path.write_text(text, encoding="ascii")
        assert wait_before_start({FILE: str(path)}) == 0
    assert wait_before_start({}) == 0
    assert wait_before_start({FILE: "/nowhere/starts"}) == 0

"""Whether a room has changed over weeks, so that it should be calibrated again.

A day's drift says little, since a classroom is not the training set; that it rises says that
camera, light or class are not what they were. What is kept is two means a day, of the whole class.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

FILE_NAME: Final = "room-trend.json"
DRIFT_RISE: Final = 0.25
ABSTAINED_RISE: Final = 0.15
"""Rises of drift, and of the share of predictions that nothing is decided by, that call for it."""
DAYS: Final = 5
"""So many school days at first are what is usual, and as many at last what is so now."""
APART_DAYS: Final = 14
"""Between the first and the last of them."""
ENOUGH_READINGS: Final = 30
"""A day with fewer is not counted: the room was empty, or the device hardly on."""
_MOST_DAYS: Final = 60


@dataclass(slots=True, kw_only=True)
class _Day:
    """Sums over one day."""

    number: int
    readings: int = 0
    drift: float = 0.0
    drift_readings: int = 0
    abstained: float = 0.0


def trend_path(outbox: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where it is kept: in a folder that the vision process's unit alone may write.

    Without such a unit it lies beside the outbox.
    """
    own = environment.get("STATE_DIRECTORY", "").split(":")[1:]
    return (Path(own[0]) if own else outbox.parent) / FILE_NAME


class RoomTrend:
    """Follows drift and abstention by days; kept in a file, so that restarts lose nothing.

    Args:
        path: The file. One that cannot be read is begun anew.
        model: Bundle and layer in use: another one begins anew.
    """

    def __init__(self, path: Path, model: str) -> None:
        self._path = path
        self._model = model
        self._days: list[_Day] = []
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["model"] == model:
                self._days = [_Day(**day) for day in data["days"]]
        except (OSError, ValueError, TypeError, KeyError):
            pass

    def add(self, day: int, *, drift: float | None, abstained: float | None) -> None:
        """Take in one reading.

        Args:
            day: Days since 1970; the wall clock must have been set.
            drift: `None` where it is not known.
            abstained: Likewise; without it nobody was there, and nothing is counted.
        """
        if abstained is None:
            return
        if not self._days or day > self._days[-1].number:
            self._drop_thin_day()
            self._days.append(_Day(number=day))
            self.save()
        latest = self._days[-1]
        latest.readings += 1
        latest.abstained += abstained
        if drift is not None:
            latest.drift += drift
            latest.drift_readings += 1

    def calls_for_calibration(self) -> bool:
        """Whether drift or abstention has risen by the stated amount."""
        days = [day for day in self._days if day.readings >= ENOUGH_READINGS]
        if len(days) < 2 * DAYS or days[-1].number - days[0].number < APART_DAYS:
            return False
        first, last = days[:DAYS], days[-DAYS:]
        if fmean(map(_abstained, last)) - fmean(map(_abstained, first)) >= ABSTAINED_RISE:
            return True
        known = [
            [d.drift / d.drift_readings for d in part if d.drift_readings] for part in (first, last)
        ]
        return all(known) and fmean(known[1]) - fmean(known[0]) >= DRIFT_RISE

    def save(self) -> None:
        """Write the file; a disk that refuses costs a warning."""
        text = json.dumps({"model": self._model, "days": [asdict(day) for day in self._days]})
        part = self._path.with_suffix(".new")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(self._path)
        except OSError as why:
            log.warning("%s: cannot be written: %s", self._path, why)

    def _drop_thin_day(self) -> None:
        if self._days and self._days[-1].readings < ENOUGH_READINGS:
            self._days.pop()
        if len(self._days) >= _MOST_DAYS:  # the first ones say what is usual
            del self._days[DAYS]


def _abstained(day: _Day) -> float:
    return day.abstained / day.readings

"""Durations by name and frame, in memory that is taken before the run and does not grow in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_LEAST: Final = 1024


class Recorder:
    """One column for each name, one row for each frame.

    Args:
        rows: Frames expected; more only cost a copy.
    """

    def __init__(self, rows: int) -> None:
        self._rows = max(rows, _LEAST)
        self._row = 0
        self._columns: dict[str, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        """Number of finished rows."""
        return self._row

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in the order they were first seen."""
        return tuple(self._columns)

    def put(self, name: str, value: float) -> None:
        """Write into the present row."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = np.full(self._rows, np.nan, np.float32)
        column[self._row] = value

    def finish_row(self) -> None:
        """Go on to the next row."""
        self._row += 1
        if self._row == self._rows:
            self._rows *= 2
            for name, column in self._columns.items():
                grown = np.full(self._rows, np.nan, np.float32)
                grown[: self._row] = column
                self._columns[name] = grown

    def column(self, name: str) -> NDArray[np.float32]:
        """One value for each finished row, NaN where none was put: shape ``(len(self),)``."""
        column = self._columns.get(name)
        if column is None:
            return np.full(self._row, np.nan, np.float32)
        return column[: self._row]

    def values(self, name: str) -> NDArray[np.float32]:
        """The values that were put, in order."""
        column = self.column(name)
        return column[~np.isnan(column)]

    def every(self, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """`values` of each name that has any."""
        found = {name: self.values(name) for name in names}
        return {name: values for name, values in found.items() if len(values)}

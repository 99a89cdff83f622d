"""Sets of numbers that mostly follow each other, kept as ranges."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class NumberRanges:
    """A set of whole numbers; a million in a row take as little room as one.

    Args:
        ranges: First and last numbers to begin with.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int | None = None) -> None:
        """Add a number, or all from ``first`` to ``last``."""
        last = first if last is None else last
        start = bisect_right(self._lasts, first - 2)  # neighbours join
        end = bisect_right(self._firsts, last + 1)
        if start < end:
            first = min(first, self._firsts[start])
            last = max(last, self._lasts[end - 1])
        self._firsts[start:end] = [first]
        self._lasts[start:end] = [last]

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """How many ranges it takes."""
        return len(self._firsts)

    @property
    def last(self) -> int:
        """The largest number; 0 without any."""
        return self._lasts[-1] if self._lasts else 0

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the ranges between two numbers, both included, that are not in the set."""
        found = []
        at = bisect_right(self._lasts, first - 1)
        while first <= last:
            if at == len(self._firsts) or self._firsts[at] > last:
                found.append((first, last))
                break
            if self._firsts[at] > first:
                found.append((first, self._firsts[at] - 1))
            first = self._lasts[at] + 1
            at += 1
        return found

    def forget(self, most: int) -> None:
        """Keep no more than this many ranges, the highest ones; what lies below counts as there."""
        if len(self._firsts) > most:
            excess = len(self._firsts) - most
            self._lasts[0] = self._lasts[excess]
            del self._firsts[1 : excess + 1]
            del self._lasts[1 : excess + 1]

"""Logs that a stranger can neither forge nor flood: one line a record, escaped, repeats counted.

Imports no more than the standard library: the vision process uses it before it has given up the
network.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Hashable

from emoshift.credentials import mask_credentials

LINES_A_MINUTE: Final = 20
"""Lines of one kind (the same logger and the same text before its values are put in)."""

_WINDOW_S: Final = 60.0
_KINDS: Final = 256
_LONGEST: Final = 8000
_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def printable(text: str) -> str:
    r"""Return text in which nothing moves a cursor, ends a line or turns the writing direction.

    What is not printable is written as ``\x1b`` or ``\u202e`` would be in Python.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode()
        for one in text
    )


def set_up_logs(level: int, *, dates: bool = False, stream: TextIO | None = None) -> None:
    """Log to standard error; with the priorities the journal understands, if that reads it.

    Args:
        level: The least level that is written.
        dates: Whether to begin lines with the date; the journal adds its own.
        stream: Where to write instead.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(RepeatFilter())
    if "JOURNAL_STREAM" in os.environ and not sys.stderr.isatty():
        handler.setFormatter(_JournalFormatter("%(name)s: %(message)s"))
    else:
        date = "%(asctime)s " if dates else ""
        handler.setFormatter(SafeFormatter(f"{date}%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


class SafeFormatter(logging.Formatter):
    """Masks passwords, escapes what is not printable, indents every line but a record's first."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        text = mask_credentials(super().format(record))
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}... ({len(text)} characters)"
        if text.isprintable():
            return text
        return "\n    ".join(printable(line.expandtabs()) for line in text.split("\n"))


class _JournalFormatter(SafeFormatter):
    """Gives every line the priority of its record."""

    def format(self, record: logging.LogRecord) -> str:
        number = next((p for level, p in _PRIORITIES if record.levelno >= level), 7)
        return f"<{number}>" + super().format(record).replace("\n", f"\n<{number}>")


class RepeatLimit:
    """Lets a few of each kind through each minute and counts the others; its memory is bounded."""

    def __init__(self, *, lines: int = LINES_A_MINUTE) -> None:
        self._lines = lines
        self._kinds: OrderedDict[Hashable, list[float]] = OrderedDict()

    def count(self, kind: Hashable) -> int | None:
        """Count one; ``None`` where it is too many, else how many were left out before it."""
        now_s = time.monotonic()
        seen = self._kinds.setdefault(kind, [now_s, 0.0])  # beginning of the minute, lines in it
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        left_out = 0
        if now_s - seen[0] >= _WINDOW_S:
            left_out = max(0, int(seen[1]) - self._lines)
            seen[:] = [now_s, 0.0]
        seen[1] += 1
        return None if seen[1] > self._lines else left_out


class RepeatFilter(logging.Filter):
    """Lets a few lines of a kind through each minute; the next one says how many were left out."""

    def __init__(self, *, lines: int = LINES_A_MINUTE) -> None:
        super().__init__()
        self._limit = RepeatLimit(lines=lines)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write this record."""
        left_out = self._limit.count((record.name, record.levelno, str(record.msg)[:200]))
        if left_out is None:
            return False
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} more like it before)"
            record.args = None
        return True

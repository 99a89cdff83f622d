"""Which numbers were given to events, noted outside the outbox file.

A damaged file or a torn log loses rows without a trace of them. This small file beside it names
the last number of every boot id that may still have events in the outbox, so that what is missing
can be reported. It is written after each commit and never synced: after a power cut it may say less
than the outbox holds, which is harmless.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from typing import TYPE_CHECKING, Final

from emoshift.private_files import make_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LINE: Final = 96
_SLOTS: Final = 2
"""The running boot id is written into two places in turn, so that a torn write spoils one only."""
BOOTS: Final = 200
"""Boot ids that are noted; those that have no events left are forgotten."""


def numbers_path(outbox: Path) -> Path:
    """Return where the numbers of an outbox are noted."""
    return outbox.with_name(f"{outbox.name}-numbers")


def read_numbers(path: Path) -> dict[str, tuple[int, int]]:
    """Return by boot id the lowest number that may be in the outbox and the last one given.

    What is damaged is left out.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    found: dict[str, tuple[int, int]] = {}
    for start in range(0, len(content), _LINE):
        line = content[start : start + _LINE]
        fields = line[: _LINE - 9].split()
        if len(fields) != 3 or line[_LINE - 9 :] != _seal(line[: _LINE - 9]):
            continue
        boot, first, last = fields[0].decode("ascii"), int(fields[1]), int(fields[2])
        if last >= found.get(boot, (0, 0))[1]:
            found[boot] = first, last
    return found


class GivenNumbers:
    """The file as the writer keeps it.

    Args:
        path: See `numbers_path`.
        boot_id: Of the running writer.
        earlier: What is to be kept of earlier boot ids.
    """

    def __init__(self, path: Path, boot_id: str, earlier: Mapping[str, tuple[int, int]]) -> None:
        self._path = path
        self._boot_id = boot_id
        self._earlier = dict(list(earlier.items())[-BOOTS:])
        self._limits = (1, 0)
        self._slot = 0
        self._file: int | None = None
        self._write()

    def retain_earlier(self, lowest: Mapping[str, int]) -> None:
        """Note the lowest number of earlier boot ids anew; those without any are forgotten."""
        kept = {b: (lowest[b], last) for b, (_, last) in self._earlier.items() if b in lowest}
        if kept != self._earlier:
            self._earlier = kept
            self._write()

    def _write(self) -> None:
        content = b"".join(
            [_line(self._boot_id, *self._limits)] * _SLOTS
            + [_line(boot, *limits) for boot, limits in self._earlier.items()]
        )
        fresh = self._path.with_name(f"{self._path.name}.new")
        # On a full disk the old file stays: what was let go since may be reported as lost.
        with contextlib.suppress(OSError):
            make_private(fresh)
            fresh.write_bytes(content)
            fresh.replace(self._path)
            self.close()
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)

    def set_current(self, first: int, last: int) -> None:
        """Say what was given last, and what may still be there; in place, for a full disk."""
        self._limits = (first, last)
        if self._file is None:  # the disk has refused it until now
            self._write()
            return
        self._slot = (self._slot + 1) % _SLOTS
        with contextlib.suppress(OSError):
            os.pwrite(self._file, _line(self._boot_id, first, last), self._slot * _LINE)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _line(boot: str, first: int, last: int) -> bytes:
    text = f"{boot} {first} {last}".encode().ljust(_LINE - 9)
    return text + _seal(text)


def _seal(text: bytes) -> bytes:
    return b"%08x\n" % zlib.crc32(text)

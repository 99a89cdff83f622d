"""Space kept free for a full disk: deleting from a database needs some, too."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from emoshift.private_files import PRIVATE

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_BYTES: Final = 2_000_000
"""Enough for a log of its usual size and the pages that deleting changes."""


class Reserve:
    """A file of real blocks beside the outbox, given up in need and made again later.

    Args:
        outbox: The outbox file.
        size: Of the reserve, in bytes.
    """

    def __init__(self, outbox: Path, size: int = RESERVE_BYTES) -> None:
        self._path = outbox.with_name(f"{outbox.name}-reserve")
        self._size = size

    def release(self) -> bool:
        """Free the space; False where there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def make(self) -> bool:
        """Take the space again if the disk has three times as much; whether it is there now."""
        try:
            if self._path.exists():
                return True
            if shutil.disk_usage(self._path.parent).free < 3 * self._size:
                return False
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        except OSError:
            return False
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        finally:
            os.close(descriptor)
        return True

"""Files that nobody but their owner reads, however they are made."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE: Final = 0o600


def make_private(path: Path) -> None:
    """Make an empty file with mode 0600, or take the rights of others from one that is there.

    SQLite gives the files beside its database the same mode. A file that is there is not opened:
    closing it would take the locks that this process holds on it. What fails here is left to
    whoever opens the file next, and says so.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    except FileExistsError:
        with contextlib.suppress(OSError):
            mode = path.stat().st_mode
            if path.is_file() and mode & 0o077:
                path.chmod(PRIVATE)
    except OSError:
        pass

"""How much an outbox keeps, where it lies, and what it says of itself."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from edge import config


class OutboxState(StrEnum):
    """Whether events reach the disk."""

    READY = "ready"
    FULL = "full"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept while no broker takes it.

    Attributes:
        max_bytes: Size of the tables; the log beside them adds about a megabyte.
        max_age_s: Age of an event.
        max_pending: Events held in memory while the disk refuses them.
        keep_sent_s: How long an event can be asked for again after it was stored.
    """

    max_bytes: int = 64_000_000
    max_age_s: float = 30 * 86400.0
    max_pending: int = 10_000
    keep_sent_s: float = 86400.0

    @classmethod
    def from_config(cls, outbox: config.Outbox) -> Self:
        """Return the limits that are configured."""
        return cls(
            max_bytes=int(outbox.max_mb * 1e6),
            max_age_s=outbox.max_age_days * 86400,
            keep_sent_s=outbox.keep_sent_hours * 3600,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxStats:
    """What to report of the outbox.

    Attributes:
        depth: Stored events that no broker has acknowledged.
        pending: Events in memory that the disk has refused so far.
        dropped: Events given up since the file was made: too many, too old, or damaged.
        damaged: Of these, events that were not in the file as they were written.
        stored: Events written since the file was made, acknowledged or not.
        set_aside: Events that the broker refused again and again; see `edge outbox`.
        state: Whether events reach the disk.
    """

    depth: int
    pending: int
    dropped: int
    damaged: int
    set_aside: int
    stored: int
    state: OutboxState


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRange:
    """The numbers of one boot id.

    Attributes:
        boot_id: Which.
        kept_from: The lowest number that can still be asked for again.
        settled: Up to here every number was sent and acknowledged, or is reported as lost.
    """

    boot_id: str
    kept_from: int
    settled: int


DEFAULT_LIMITS: Final = Limits()


def memory_path(outbox: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file in memory for an outbox, the same in both processes; ``None`` without any.

    It lies in the folder that systemd makes for the services, or in one of this user alone.
    """
    folder = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    name = f"outbox-{zlib.crc32(os.fsencode(outbox.absolute())):08x}.db"
    if folder:
        return Path(folder) / name
    shared = Path("/dev/shm")  # noqa: S108 - a folder of ours in it, checked below
    own = shared / f"emoshift-{os.getuid()}"
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        status = own.lstat()
    except OSError:
        return None
    private = status.st_uid == os.getuid() and status.st_mode & 0o077 == 0
    return own / name if private and own.is_dir() and not own.is_symlink() else None

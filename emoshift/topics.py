"""Where each message goes; the contract's version stands in the root."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

ROOT: Final = "emoshift/v1"
ID_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
"""Sites, devices and cameras: lowercase letters, digits and inner hyphens, at most 64."""
_ID: Final = re.compile(ID_PATTERN)


class Kind(StrEnum):
    """The kinds of message: the last level of a topic."""

    TRANSITION = "transition"
    STATUS = "status"
    INFO = "info"
    CLASS = "class"
    HEALTH = "health"
    LEDGER = "ledger"
    REPLAY = "replay"


_KINDS: Final = frozenset(Kind)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One device: its site and its name there."""

    site: str
    device: str

    @property
    def base(self) -> str:
        """The topic below which the device publishes."""
        return f"{ROOT}/{self.site}/{self.device}"

    def topic(self, kind: Kind) -> str:
        """Name the topic of one kind of message."""
        return f"{self.base}/{kind}"

    def __str__(self) -> str:
        return f"{self.site}/{self.device}"


def read_address(name: str) -> Address | None:
    """Read ``SITE/DEVICE``; ``None`` for anything else."""
    parts = name.split("/")
    if len(parts) != 2 or not all(_ID.fullmatch(part) for part in parts):
        return None
    return Address(*parts)


@lru_cache(maxsize=8192)
def read_topic(topic: str) -> tuple[Address, Kind] | None:
    """Split a topic into the device and the kind of message; ``None`` for any other topic."""
    parts = topic.split("/")
    if len(parts) != 5 or f"{parts[0]}/{parts[1]}" != ROOT:
        return None
    _, _, site, device, kind = parts
    if not _ID.fullmatch(site) or not _ID.fullmatch(device) or kind not in _KINDS:
        return None
    return Address(site, device), Kind(kind)

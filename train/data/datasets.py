"""Where each data set comes from, under what terms, and how to know it is unaltered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file or folder that a user brings.

    Attributes:
        name: Of the set.
        licence: What its publisher allows.
        origin: Who published it.
        sha256: Of the file, where one form of it is known.
    """

    name: str
    licence: str
    origin: str
    sha256: str | None = None


FER2013: Final = Source(
    name="FER2013",
    licence="research use; the pictures may not be passed on",
    origin="Goodfellow et al., ICML 2013 workshop, Kaggle",
)
FERPLUS: Final = Source(
    name="FER+ votes",
    licence="MIT",
    origin="Barsoum et al., ICMI 2016, github.com/microsoft/FERPlus",
    sha256="9206e20d62f56475939f516847d61753e4860caeac9718b560129541b776fc2c",
)
CKPLUS48: Final = Source(
    name="CK+48",
    licence="research use, on agreement with the authors",
    origin="Lucey et al., CVPR workshop 2010; peak frames at 48x48",
)


def checksum(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

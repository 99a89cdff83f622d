"""Parts of the training pictures, so that a teacher never labels a picture it was trained on."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emoshift.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One of several parts, written ``2/3``.

    Attributes:
        number: From 1.
        count: How many parts there are.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Read ``2/3``; raises `InputError` for anything that names no part."""
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        number, count = (int(part) for part in found.groups()) if found else (0, 0)
        if not 1 <= number <= count or count < 2:
            raise InputError(f"{text!r} names no part; expected such as 1/3 for the first of three")
        return cls(number=number, count=count)

    def holds(self, crops: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Say which pictures are in this part.

        A picture's pixels decide, so that copies of one picture are always in the same part, and
        the parts stay the same for ever.

        Args:
            crops: ``(n, height, width)``, uint8.
        """
        digests = (hashlib.sha256(crop.tobytes()).digest() for crop in crops)
        parts = [int.from_bytes(digest[:8], "big") % self.count for digest in digests]
        return np.asarray(np.array(parts, np.intp) == self.number - 1, np.bool_)

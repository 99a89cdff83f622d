"""Reads a TOML file that anybody may have written, with the standard library alone."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from emoshift.text_files import decode_text

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES: Final = 256 * 1024
"""No configuration comes near, and the reader takes minutes for some megabytes."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no TOML, or larger than `MOST_BYTES`.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES // 1024} kB")
    try:
        return tomllib.loads(decode_text(data))
    except RecursionError as why:
        raise ValueError("brackets too deep") from why

"""Text files as people save them: with or without a byte order mark, in UTF-8 or UTF-16.

Imports no more than the standard library: the vision process uses it before it has given up the
network.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decode_text(data: bytes) -> str:
    """Decode what an editor saved.

    Raises:
        ValueError: It is neither UTF-8 nor, with its mark, UTF-16; says what to do.
    """
    try:
        return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as why:
        line = data.count(b"\n", 0, why.start) + 1
        raise ValueError(
            f"line {line} is in another encoding than UTF-8; save the file as UTF-8"
        ) from None


def read_text_file(path: Path) -> str:
    """Read a text file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is neither UTF-8 nor UTF-16.
    """
    return decode_text(path.read_bytes())


def read_secret(path: Path, most_bytes: int = 64 * 1024) -> str:
    """Read a password: the first line of a file, without its end.

    Raises:
        OSError: It cannot be read.
        ValueError: It is in another encoding, empty, or no text.
    """
    with path.open("rb") as file:
        data = file.read(most_bytes)
    lines = decode_text(data).splitlines()
    if not lines or not lines[0]:
        raise ValueError("its first line is empty; write the password there")
    if "\0" in lines[0]:
        raise ValueError("is no text file; write the password into its first line")
    return lines[0]

"""Rows of a csv in any form that circulates: packed or plain, in any of the usual encodings.

What a file is, its first bytes say, not its name: zip, tar, gzip, bzip2 or xz; UTF-8, UTF-16 with
or without a byte order mark; commas, semicolons or tabs.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from emoshift.errors import InputError

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LARGEST_BYTES: Final = 1 << 30
"""Of an unpacked table: three times the size of FER2013, and far below what a bomb unpacks to."""
LONGEST_LINE: Final = 1 << 20
MOST_ROWS: Final = 100_000
"""Three times as many as FER2013 has."""
_BROKEN: Final = (
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,  # a packing method that Python does not know
    RuntimeError,  # a zip that wants a password
)

_WHOLE: Final = re.compile(r"([+-]?[0-9]{1,9})(?:\.0*)?")

csv.field_size_limit(LONGEST_LINE)


@dataclass(frozen=True, slots=True)
class TextRow:
    """One row of a table.

    Attributes:
        line: Its line in the file, from 1.
        values: Cells by lower-case column name, without spaces around them; a short row lacks its
            last columns.
    """

    line: int
    values: dict[str, str]


def read_rows(
    path: Path,
    *,
    names: Sequence[str],
    columns: Sequence[str],
    checksum: hashlib._Hash | None = None,
) -> Iterator[TextRow]:
    """Yield the rows of a table, one at a time.

    Args:
        path: The file, or an archive that holds it.
        names: What the file may be called inside an archive, lower case, best first.
        columns: Columns that must be there, lower case.
        checksum: Takes in every byte of the unpacked file.

    Raises:
        InputError: It cannot be read or unpacked, is too large, or lacks a column.
    """
    try:
        with _unpacked(path, names) as stream:
            text = _text(_Counted(path, stream, checksum))
            yield from _parse(path, text, columns)
    except _BROKEN as why:
        reason = why.strerror if isinstance(why, OSError) and why.strerror else str(why)
        raise InputError(
            f"{path}: cannot be read: {reason or type(why).__name__}; get the file again"
        ) from None
    except csv.Error as why:
        raise InputError(f"{path}: is not a table of text: {why}") from None


def whole_number(cell: str, column: str) -> int:
    """Read a whole number, written as ``9`` or ``9.0``; raises `ValueError` naming the column."""
    if (written := _WHOLE.fullmatch(cell)) is None:
        found = ascii(cell[:20]) if cell else "nothing"
        raise ValueError(f"{column} is {found}, expected a whole number")
    return int(written[1])


def _lines(text: IO[str]) -> Iterator[str]:
    """Read lines of a bounded length: a bomb may unpack to a single endless one."""
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line is longer than {LONGEST_LINE >> 20} MB")
        yield line


def _parse(path: Path, text: IO[str], columns: Sequence[str]) -> Iterator[TextRow]:
    first = text.readline(LONGEST_LINE)
    delimiter = max(",;\t", key=first.count)
    header = [cell.strip().lower() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    if missing := [column for column in columns if column not in header]:
        found = ", ".join(cell[:20] for cell in header[:12]) or "nothing"
        raise InputError(
            f"{path}: lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)};"
            f" its first line is: {found!a}"
        )
    reader = csv.reader(_lines(text), delimiter=delimiter)
    for number, cells in enumerate(reader):
        if number >= MOST_ROWS:
            raise InputError(f"{path}: has more than {MOST_ROWS} rows; not FER2013")
        if any(cells):
            values = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
            yield TextRow(reader.line_num + 1, values)


@contextmanager
def _unpacked(path: Path, names: Sequence[str]) -> Iterator[IO[bytes]]:
    """Open the table inside a file."""
    with path.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        if head.startswith(b"PK"):
            with zipfile.ZipFile(file) as archive:
                member = _choose(path, [m.filename for m in archive.infolist()], names)
                with archive.open(member) as stream:
                    yield stream
            return
        stream = _decompressed(file, head)
        if _is_tar(stream):
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                inside = [m.name for m in archive.getmembers() if m.isfile()]
                found = archive.extractfile(_choose(path, inside, names))
                if found is not None:
                    with found:
                        yield found
            return
        yield stream


def _decompressed(file: IO[bytes], head: bytes) -> IO[bytes]:
    if head.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    if head.startswith(b"BZh"):
        return io.BufferedReader(bz2.BZ2File(file))
    if head.startswith(b"\xfd7zXZ"):
        return io.BufferedReader(lzma.LZMAFile(file))
    return file


def _is_tar(stream: IO[bytes]) -> bool:
    start = stream.read(265)
    stream.seek(0)
    return start[257:262] == b"ustar"


def _choose(path: Path, inside: Sequence[str], names: Sequence[str]) -> str:
    """Find the table in an archive: by its name, in whatever folder, or as the only csv."""
    tables: dict[str, str] = {}
    for name in inside:
        place = PurePosixPath(name)
        if place.name and not place.name.startswith("._") and "__MACOSX" not in place.parts:
            tables.setdefault(place.name.lower(), name)
    for wanted in names:
        if wanted in tables:
            return tables[wanted]
    csvs = [name for lower, name in tables.items() if lower.endswith(".csv")]
    if len(csvs) == 1:
        return csvs[0]
    held = ", ".join(sorted(tables)[:8]) or "nothing"
    raise InputError(f"{path}: holds no {names[0]}; it holds {held}")


class _Counted(io.RawIOBase):
    """Passes bytes on, counts them and takes their checksum."""

    def __init__(self, path: Path, stream: IO[bytes], checksum: hashlib._Hash | None) -> None:
        self._path = path
        self._stream = stream
        self._checksum = checksum
        self._count = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # as RawIOBase calls it
        """Read what fits."""
        data = self._stream.read(len(buffer))
        self._count += len(data)
        if self._count > LARGEST_BYTES:
            raise InputError(
                f"{self._path}: unpacks to more than {LARGEST_BYTES >> 20} MB; not FER2013"
            )
        if self._checksum is not None:
            self._checksum.update(data)
        buffer[: len(data)] = data
        return len(data)


def _text(raw: io.RawIOBase) -> IO[str]:
    """Decode by the byte order mark, or by where the zero bytes are."""
    stream = io.BufferedReader(raw, 1 << 16)
    head = stream.peek(16)[:16]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif head[1::2].count(0) > len(head) // 4:
        encoding = "utf-16-le"
    elif head[0::2].count(0) > len(head) // 4:
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    # What is not valid becomes a replacement mark, and so a row that is named by its line.
    return io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")

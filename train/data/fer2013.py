"""FER2013 in its official csv form, plain or zipped.

Licence: research use, as the Kaggle challenge of 2013 states; the pictures are not ours to pass on.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from emoshift.errors import InputError
from train.data.reports import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SIDE_PX: Final = 48
USAGES: Final = ("Training", "PublicTest", "PrivateTest")
ROWS: Final = 35_887
OFFICIAL_MD5: Final = "f8428a1edbd21e88f42c73edd2a14f95"
"""Of the official ``fer2013.csv``, as torchvision's ``FER2013`` data set checks it."""
CLASSES: Final = 7

csv.field_size_limit(1 << 20)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fer2013:
    """All rows in the official order.

    Attributes:
        pixels: Shape ``(n, 48, 48)``, uint8 grey; zeros in a row that could not be read.
        labels: Shape ``(n,)``, int8, numbered as `edge.values.Emotion`; -1 where unreadable.
        usage: Shape ``(n,)``, int8, index into `USAGES`; -1 where unreadable.
        problems: What could not be read, by name.
        md5: Checksum of ``fer2013.csv`` itself, also where it came out of a zip.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int8]
    usage: NDArray[np.int8]
    problems: Problems
    md5: str

    @property
    def official(self) -> bool:
        """Whether this is the official file, byte for byte."""
        return self.md5 == OFFICIAL_MD5

    def rows(self, usage: str) -> NDArray[np.intp]:
        """Return the row numbers of one split."""
        return np.flatnonzero(self.usage == USAGES.index(usage))


def fer2013_source(data: Path) -> Path:
    """Return FER2013's csv or its zip under ``data``; raises `InputError` where neither is."""
    return csv_in(data / "fer2013")


def csv_in(folder: Path) -> Path:
    """Return the csv or its zip in ``folder``; raises `InputError` where neither is."""
    for name in ("fer2013.csv", "fer2013.csv.zip"):
        if (path := folder / name).exists():
            return path
    raise InputError(f"{folder}: found neither fer2013.csv nor fer2013.csv.zip")


def read_fer2013(path: Path, cache: Path | None = None) -> Fer2013:
    """Read ``fer2013.csv`` or its zip; decoded rows are kept under ``cache``.

    The cache is named after the size, time and path of the source, so a changed source is decoded
    again.
    """
    if cache is None:
        return _decode(path)
    kept = cache / f"fer2013-{_stamp(path)}.npz"
    if not kept.exists():
        decoded = _decode(path)
        cache.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part.npz")
        np.savez(
            part,
            pixels=decoded.pixels,
            labels=decoded.labels,
            usage=decoded.usage,
            problems=np.array(decoded.problems.lines, dtype=np.str_),
            md5=np.array(decoded.md5),
        )
        part.replace(kept)
        return decoded
    with np.load(kept) as arrays:
        return Fer2013(
            pixels=arrays["pixels"],
            labels=arrays["labels"],
            usage=arrays["usage"],
            problems=Problems(tuple(str(line) for line in arrays["problems"])),
            md5=str(arrays["md5"]),
        )


def _stamp(path: Path) -> str:
    stat = path.stat()
    told = f"md5 {path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _decode(path: Path) -> Fer2013:
    pixels: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    usage: list[int] = []
    problems: list[str] = []
    blank = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    checksum = hashlib.md5(usedforsecurity=False)
    for number, row in enumerate(_records(path, checksum)):
        try:
            values = np.array(row["pixels"].split(), dtype=np.uint8).reshape(SIDE_PX, SIDE_PX)
            label = range(CLASSES).index(int(row["emotion"]))
            split = USAGES.index(row["Usage"].strip())
        except (ValueError, KeyError, OverflowError, AttributeError) as error:
            problems.append(f"{path.name} row {number}: {error}")
            values, label, split = blank, -1, -1
        pixels.append(values)
        labels.append(label)
        usage.append(split)
    return Fer2013(
        pixels=np.stack(pixels) if pixels else np.zeros((0, SIDE_PX, SIDE_PX), np.uint8),
        labels=np.array(labels, np.int8),
        usage=np.array(usage, np.int8),
        problems=Problems(tuple(problems)),
        md5=checksum.hexdigest(),
    )


def _records(path: Path, checksum: hashlib._Hash) -> Iterator[dict[str, str]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open("fer2013.csv") as stream:
            yield from csv.DictReader(_lines(stream, checksum))
    else:
        with path.open("rb") as stream:
            yield from csv.DictReader(_lines(stream, checksum))


def _lines(stream: IO[bytes], checksum: hashlib._Hash) -> Iterator[str]:
    for line in stream:
        checksum.update(line)
        yield line.decode("ascii")

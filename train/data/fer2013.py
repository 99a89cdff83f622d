"""FER2013 as a csv, in every form in which it circulates.

Licence: research use, as the Kaggle challenge of 2013 states; the pictures are not ours to pass on.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.errors import InputError
from train.data.problems import Problems
from train.data.text_table import read_rows, whole_number

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE_PX: Final = 48
USAGES: Final = ("Training", "PublicTest", "PrivateTest")
ROWS: Final = 35_887
OFFICIAL_MD5: Final = "f8428a1edbd21e88f42c73edd2a14f95"
"""Of the official ``fer2013.csv``, as torchvision's ``FER2013`` data set checks it."""
CLASSES: Final = 7

TABLES: Final = ("fer2013.csv", "icml_face_data.csv")
"""The official file, and the same rows with their columns in another order, both Kaggle's."""
SOURCES: Final = (
    *TABLES,
    *(f"{name}{packed}" for name in TABLES for packed in (".zip", ".gz")),
    *(f"fer2013{packed}" for packed in (".zip", ".tar.gz", ".tgz", ".tar")),
    "challenges-in-representation-learning-facial-expression-recognition-challenge.zip",
    "archive.zip",
)
"""Names under which FER2013 is passed on, best first."""


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
    """Return FER2013's csv or its archive under ``data``; raises `InputError` where none is."""
    return csv_in(data / "fer2013")


def csv_in(folder: Path) -> Path:
    """Return the csv or its archive in ``folder``, in upper or lower case.

    Raises:
        InputError: There is none, or the folder cannot be read.
    """
    try:
        there = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}
    except OSError as why:
        raise InputError(f"{folder}: {why.strerror}; expected fer2013.csv in it") from None
    for name in SOURCES:
        if name in there:
            return there[name]
    raise InputError(f"{folder}: found no fer2013.csv, nor {', '.join(SOURCES[1:7])} and the like")


def read_fer2013(path: Path, cache: Path | None = None) -> Fer2013:
    """Read ``fer2013.csv``, plain or packed; decoded rows are kept under ``cache``.

    The cache is named after the size, time and path of the source, so a changed source is decoded
    again. Rows that cannot be read are named in a warning.

    Raises:
        InputError: The file cannot be read or unpacked, lacks a column, or has no row.
    """
    read = _decode(path) if cache is None else _kept(path, cache)
    read.problems.warn(path)
    return read


def _kept(path: Path, cache: Path) -> Fer2013:
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
    key = f"md5 {path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    return hashlib.sha256(os.fsencode(key)).hexdigest()[:12]


def _decode(path: Path) -> Fer2013:
    pixels: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    usage: list[int] = []
    problems: list[str] = []
    blank = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    checksum = hashlib.md5(usedforsecurity=False)
    rows = read_rows(path, names=TABLES, columns=("emotion", "pixels", "usage"), checksum=checksum)
    for row in rows:
        try:
            values, label, split = _picture(row.values)
        except ValueError as why:
            problems.append(f"line {row.line}: {why}")
            values, label, split = blank, -1, -1
        pixels.append(values)
        labels.append(label)
        usage.append(split)
    if len(problems) == len(pixels):
        found = problems[0] if problems else "its first line is its last"
        raise InputError(f"{path}: holds no row that can be read; {found}")
    return Fer2013(
        pixels=np.stack(pixels),
        labels=np.array(labels, np.int8),
        usage=np.array(usage, np.int8),
        problems=Problems(tuple(problems)),
        md5=checksum.hexdigest(),
    )


def _picture(cells: dict[str, str]) -> tuple[NDArray[np.uint8], int, int]:
    """Return pixels, label and split of one row; raises `ValueError` with what is wrong."""
    numbers = cells.get("pixels", "").split()
    if len(numbers) != SIDE_PX**2:
        raise ValueError(f"{len(numbers)} pixels, expected {SIDE_PX**2}")
    try:
        values = np.array(numbers, dtype=np.uint8).reshape(SIDE_PX, SIDE_PX)
    except (ValueError, OverflowError):
        raise ValueError("pixels other than numbers from 0 to 255") from None
    label = whole_number(cells.get("emotion", ""), "emotion")
    if not 0 <= label < CLASSES:
        raise ValueError(f"emotion {label}, expected 0 to {CLASSES - 1}")
    usage = cells.get("usage", "").lower()
    splits = [name.lower() for name in USAGES]
    if usage not in splits:
        raise ValueError(f"usage {usage[:20]!a}, expected {', '.join(USAGES)}")
    return values, label, splits.index(usage)

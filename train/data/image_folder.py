"""Data sets that are folders of class-named folders: Kaggle's FER2013, CK+48, or a user's own."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from PIL import Image

from emoshift.errors import InputError
from emoshift.logs import printable
from train.data.ferplus import LABELS
from train.data.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

SIDE_PX: Final = 48
LARGEST_BYTES: Final = 64 << 20
LARGEST_PX: Final = 100_000_000
"""Twice what a telephone's camera makes."""
PICTURES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".tif", ".tiff")
WORDS: Final = {
    "anger": "angry",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "fearful": "fear",
    "disgusted": "disgust",
}
"""Other words for the same emotions, as the sets name their folders."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """Pictures of a tree, in the order of their names.

    Attributes:
        crops: ``(n, 48, 48)``, uint8 grey.
        labels: ``(n,)``, int8, index into `train.data.ferplus.LABELS`.
        names: Path of each picture below the root.
        subjects: Person of each picture where the set names it, else empty.
        problems: Files and folders that were left out.
    """

    crops: NDArray[np.uint8]
    labels: NDArray[np.int8]
    names: tuple[str, ...]
    subjects: tuple[str, ...]
    problems: Problems


def read_tree(root: Path) -> Tree:
    """Read ``root/<emotion>/*`` in grey at 48x48.

    Folders whose name is no emotion, and files that are no picture, are named in ``problems`` and
    left out: broken links, folders named like pictures, unreadable files, decompression bombs.

    Raises:
        InputError: There is no such folder, or no picture in it.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected one folder for each emotion in it")
    crops: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    names: list[str] = []
    problems: list[str] = []
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir())
    except OSError as why:
        raise InputError(f"{root}: cannot be read: {why.strerror}") from None
    for folder in folders:
        label = _label(folder.name)
        if label is None:
            problems.append(f"{printable(folder.name)}/: no emotion of that name")
            continue
        try:
            files = sorted(folder.iterdir())
        except OSError as why:
            problems.append(f"{printable(folder.name)}/: {why.strerror}")
            continue
        for path in files:
            name = f"{folder.name}/{path.name}"
            try:
                crops.append(_read(path))
            except ValueError as why:
                problems.append(f"{printable(name)}: {why}")
                continue
            labels.append(label)
            names.append(name)
    if not crops:
        left_out = f"; {Problems(tuple(problems)).summary(1)}" if problems else ""
        raise InputError(f"{root}: found no picture in a folder named after an emotion{left_out}")
    return Tree(
        crops=np.stack(crops),
        labels=np.array(labels, np.int8),
        names=tuple(names),
        subjects=(),
        problems=Problems(tuple(problems)),
    )


def read_ckplus48(root: Path) -> Tree:
    """Read ``CK+48/<emotion>/<subject>_<sequence>_<frame>.png`` with its subjects."""
    inner = root / "CK+48"
    tree = read_tree(inner if inner.is_dir() else root)
    subjects = tuple(name.rsplit("/", 1)[-1].split("_", 1)[0] for name in tree.names)
    return Tree(
        crops=tree.crops,
        labels=tree.labels,
        names=tree.names,
        subjects=subjects,
        problems=tree.problems,
    )


def subject_folds(subjects: Iterable[str], folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold of every picture, ``(n,)``, so that no person is in two folds."""
    names = np.array(list(subjects))
    people, index = np.unique(names, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(people))
    return np.asarray((order % folds)[index], np.intp)


def _label(word: str) -> int | None:
    plain = word.strip().lower()
    plain = WORDS.get(plain, plain)
    return LABELS.index(plain) if plain in LABELS else None


def _read(path: Path) -> NDArray[np.uint8]:
    """Return a picture in grey at 48x48; raises `ValueError` with what is wrong."""
    if path.suffix.lower() not in PICTURES:
        raise ValueError("not a picture by its name")
    try:
        if path.is_symlink() and not path.exists():
            raise ValueError("a link to nothing")
        if not path.is_file():
            raise ValueError("not a file")
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as why:
        raise ValueError(f"cannot be read: {why.strerror}") from None
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"larger than {LARGEST_BYTES >> 20} MB")
    width, height = _size(data)
    if not 0 < width * height <= LARGEST_PX:
        raise ValueError(f"{width}x{height} pixels are too many")
    try:
        crop = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        crop = None
    if crop is None:
        raise ValueError("cannot be read as a picture")
    if crop.shape != (SIDE_PX, SIDE_PX):
        crop = cv2.resize(crop, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def _size(data: bytes) -> tuple[int, int]:
    """Read width and height from a picture's head alone, before anything is unpacked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own limit is below ours
            with Image.open(io.BytesIO(data)) as image:
                return image.size
    except Image.DecompressionBombError:
        raise ValueError("more pixels than any picture has") from None
    except (OSError, ValueError, SyntaxError, struct.error, OverflowError):
        raise ValueError("cannot be read as a picture" if data else "is empty") from None


def read_cached_folder(root: Path, cache: Path) -> Tree:
    """Read a folder of class-named folders, CK+48 with its subjects, by way of the cache.

    The cache is named after path, size and time of every file, so any change decodes again.
    """
    read = read_ckplus48 if (root / "CK+48").is_dir() or root.name == "CK+48" else read_tree
    kept = cache / f"folder-{_stamp(root)}.npz"
    if not kept.exists():
        tree = read(root)
        tree.problems.warn(root)
        cache.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part.npz")
        np.savez(
            part,
            crops=tree.crops,
            labels=tree.labels,
            names=np.array(tree.names, np.str_),
            subjects=np.array(tree.subjects, np.str_),
            problems=np.array(tree.problems.lines, np.str_),
        )
        part.replace(kept)
        return tree
    with np.load(kept) as arrays:
        tree = Tree(
            crops=arrays["crops"],
            labels=arrays["labels"],
            names=tuple(str(name) for name in arrays["names"]),
            subjects=tuple(str(name) for name in arrays["subjects"]),
            problems=Problems(tuple(str(line) for line in arrays["problems"])),
        )
    tree.problems.warn(root)
    return tree


def _stamp(root: Path) -> str:
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for path in sorted(root.rglob("*")):
        try:
            stat = path.stat()
        except OSError:  # a broken link
            stat = path.lstat()
        digest.update(os.fsencode(path.relative_to(root)))
        digest.update(f" {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]

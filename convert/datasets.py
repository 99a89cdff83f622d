"""The images and sequences that conversion is calibrated on and judged by."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.standardise import standardise_crop
from edge.values import frozen
from emoshift.emotions import Emotion
from emoshift.errors import InputError
from train.data.annotated import read_annotated
from train.data.ferplus import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION_SPLIT: Final = "Training"
HELD_OUT_SPLIT: Final = "PublicTest"
SEQUENCE_LEVELS: Final = 31.75
"""Channels are kept as int8: ``round(channel * SEQUENCE_LEVELS)``, for channels within 4."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitImages:
    """Rows of one split with their FER+ labels.

    Attributes:
        split: ``Training``, ``PublicTest`` or ``PrivateTest``.
        rows: Row numbers in FER2013, shape ``(n,)``.
        crops: Shape ``(n, 48, 48)``, uint8, standardised.
        labels: Index into `train.data.ferplus.LABELS` by the majority rule; -1 where there is
            no majority.
        fer2013: FER2013's own labels, numbers of `Emotion`.
    """

    split: str
    rows: NDArray[np.intp]
    crops: NDArray[np.uint8]
    labels: NDArray[np.int8]
    fer2013: NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelSequences:
    """Channels of a recurrent member over time.

    Attributes:
        calibration: Shape ``(n, steps, channels)``, float32, made from the training split.
        held_out: Likewise from the held-out split, at least 500 steps long.
        stills: Channels of single held-out images, shape ``(m, channels)``.
        still_rows: Their row numbers in FER2013, shape ``(m,)``.
        report: Channels of single images of the report split, and
        report_rows: their row numbers.
        origin: How they were made.
    """

    calibration: NDArray[np.float32]
    held_out: NDArray[np.float32]
    stills: NDArray[np.float32]
    still_rows: NDArray[np.intp]
    report: NDArray[np.float32]
    report_rows: NDArray[np.intp]
    origin: str


def fer2013_folder(given: Path | None) -> Path:
    """Return the folder of FER2013 and its votes: as given, else that in ``$EMOSHIFT_DATA``.

    Raises:
        InputError: Neither is set.
    """
    if given is not None:
        return given
    data = os.environ.get("EMOSHIFT_DATA")
    if not data:
        raise InputError(
            "no data folder: give --calibration FOLDER, which holds fer2013.csv and fer2013new.csv,"
            " or set EMOSHIFT_DATA to the folder above it"
        )
    return Path(data) / "fer2013"


def read_images(folder: Path, split: str, *, cache: Path | None = None) -> SplitImages:
    """Read one split of FER2013 (``fer2013.csv``, plain or zipped) with its FER+ votes.

    Raises:
        InputError: A file is missing, cannot be read, or the two do not fit together.
    """
    try:
        annotated = read_annotated(folder, cache)
    except InputError as why:
        raise InputError(f"{why}; --calibration names the folder of both files") from why
    fer, majority = annotated.fer, annotated.votes.majority()
    rows = fer.rows(split)
    if not len(rows):
        raise InputError(
            f"{folder}: holds no row of {split} that can be read; take FER2013 with all its splits"
        )
    return SplitImages(
        split=split,
        rows=rows,
        crops=frozen(standardise_crop(fer.pixels[rows])),
        labels=frozen(majority[rows]),
        fer2013=frozen(fer.labels[rows].astype(np.int8)),
    )


def read_sequences(path: Path) -> ChannelSequences:
    """Read the sequences that belong to a recurrent member.

    Raises:
        InputError: The file is missing or not what `write_sequences` writes.
    """
    try:
        with np.load(path) as arrays:
            return ChannelSequences(
                calibration=_channels(arrays["calibration"]),
                held_out=_channels(arrays["held_out"]),
                stills=_channels(arrays["stills"]),
                still_rows=arrays["still_rows"].astype(np.intp),
                report=_channels(arrays["report"]),
                report_rows=arrays["report_rows"].astype(np.intp),
                origin=str(arrays["origin"]),
            )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the recipe names it as samples") from None
    except (OSError, ValueError, KeyError, EOFError) as why:
        raise InputError(f"{path}: not a file of sequences: {why}") from why


def write_sequences(path: Path, sequences: ChannelSequences) -> None:
    """Write sequences compactly; channels are rounded to 1/31.75 of a standard deviation."""
    np.savez_compressed(
        path,
        calibration=_levels(sequences.calibration),
        held_out=_levels(sequences.held_out),
        stills=_levels(sequences.stills),
        still_rows=sequences.still_rows.astype(np.int32),
        report=_levels(sequences.report),
        report_rows=sequences.report_rows.astype(np.int32),
        origin=np.array(sequences.origin),
    )


def seven(labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Turn FER+ labels into numbers of `Emotion`; contempt and rows without a label become -1."""
    known = {LABELS.index(emotion.label): int(emotion) for emotion in Emotion}
    table = np.array([known.get(i, -1) for i in range(len(LABELS))] + [-1], np.int8)
    return np.asarray(table[labels], np.int8)  # -1 picks the last entry, which is -1


def _channels(levels: NDArray[np.int8]) -> NDArray[np.float32]:
    return frozen(levels.astype(np.float32) / np.float32(SEQUENCE_LEVELS))


def _levels(channels: NDArray[np.float32]) -> NDArray[np.int8]:
    scaled = np.rint(channels * np.float32(SEQUENCE_LEVELS))
    return np.asarray(np.clip(scaled, -127, 127), np.int8)

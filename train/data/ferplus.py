"""FER+: ten annotators' votes for each FER2013 row (Barsoum et al., ICMI 2016; MIT licence)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS: Final = (
    "angry",
    "disgust",
    "fear",
    "happy",
    "sad",
    "surprise",
    "neutral",
    "contempt",
)
"""Order of the FER+ head: the first seven as `edge.values.Emotion`, contempt last."""
COLUMNS: Final = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "neutral",
    "contempt",
    "unknown",
    "NF",
)
EMOTIONS: Final = len(LABELS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Votes:
    """Votes with single ones dropped.

    Attributes:
        counts: Shape ``(n, 10)``, int8, columns as `COLUMNS`.
        usage: Split of each row, as FER2013 names it; empty for votes that were not read.
        names: FER+'s picture name of each row, rising; empty where nobody saw a face.
    """

    counts: NDArray[np.int8]
    usage: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def distribution(self) -> NDArray[np.float32]:
        """Share of each emotion among the emotion votes, ``(n, 8)``; zeros where there are none."""
        emotions = self.counts[:, :EMOTIONS].astype(np.float32)
        total = emotions.sum(axis=1, keepdims=True)
        return np.asarray(emotions / np.maximum(total, 1.0), np.float32)

    def weight(self) -> NDArray[np.float32]:
        """Share of the votes that went to an emotion, ``(n,)``; 0 where nobody saw one."""
        kept = self.counts.astype(np.float32)
        share = kept[:, :EMOTIONS].sum(axis=1) / np.maximum(kept.sum(axis=1), 1.0)
        return np.asarray(share, np.float32)

    def majority(self) -> NDArray[np.int8]:
        """Official majority rule, ``(n,)``: an emotion with over half of the votes, else -1."""
        top = self.counts.argmax(axis=1)
        most = self.counts.max(axis=1).astype(np.int32)
        total = self.counts.sum(axis=1, dtype=np.int32)
        kept = (2 * most > total) & (top < EMOTIONS)
        return np.where(kept, top, -1).astype(np.int8)

    def plurality(self) -> NDArray[np.int8]:
        """Plain arg-max of the votes, ``(n,)``: -1 where the top vote is no emotion."""
        top = self.counts.argmax(axis=1)
        return np.where(top < EMOTIONS, top, -1).astype(np.int8)


def read_votes(path: Path) -> Votes:
    """Read ``fer2013new.csv``; its rows are in the order of FER2013.

    Raises:
        InputError: There is no such file, or it is not FER+'s table of votes.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; FER+ publishes it as fer2013new.csv")
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            table = list(csv.DictReader(stream))
        counts = np.array([[int(row[column]) for column in COLUMNS] for row in table], np.int8)
        usage = tuple(row["Usage"].strip() for row in table)
        names = tuple(row["Image name"].strip() for row in table)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as why:
        raise InputError(f"{path}: cannot be read as the votes of FER+: {why!r}") from why
    counts[counts == 1] = 0
    return Votes(counts=counts.reshape(-1, len(COLUMNS)), usage=usage, names=names)

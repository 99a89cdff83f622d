"""FER+: ten annotators' votes for each FER2013 row (Barsoum et al., ICMI 2016; MIT licence)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from emoshift.errors import InputError
from train.data.fer2013 import USAGES
from train.data.text_table import read_rows, whole_number

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LabelSet: TypeAlias = Literal["fer2013", "ferplus"]
"""Which labels of an image: those of FER2013 itself, or the votes of FER+."""
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
MOST_VOTES: Final = 100
"""Far more than FER+ has annotators; a larger number is no count."""


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
        InputError: There is no such file, or it is not FER+'s table of votes; names the line.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; FER+ publishes it as fer2013new.csv")
    wanted = [column.lower() for column in COLUMNS]
    rows = read_rows(path, names=("fer2013new.csv",), columns=("usage", "image name", *wanted))
    counts, usage, names = [], [], []
    splits = {name.lower(): name for name in USAGES}
    for row in rows:
        try:
            counts.append([_count(row.values.get(column), column) for column in wanted])
        except ValueError as why:
            raise InputError(f"{path}: line {row.line}: {why}") from None
        usage.append(splits.get(row.values["usage"].lower(), row.values["usage"]))
        names.append(row.values["image name"])
    if not counts:
        raise InputError(f"{path}: holds no votes")
    table = np.array(counts, np.int8)
    table[table == 1] = 0
    return Votes(counts=table, usage=tuple(usage), names=tuple(names))


def _count(cell: str | None, column: str) -> int:
    """Read a number of votes; raises `ValueError` with what is wrong."""
    if cell is None:
        raise ValueError(f"the row ends before the column {column}")
    count = whole_number(cell, column)
    if not 0 <= count <= MOST_VOTES:
        raise ValueError(f"{count} votes for {column}, expected 0 to {MOST_VOTES}")
    return count

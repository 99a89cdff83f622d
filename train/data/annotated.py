"""FER2013 pictures beside their FER+ votes: the one place where the two files are joined."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.errors import InputError
from train.data.fer2013 import CLASSES, OFFICIAL_MD5, USAGES, csv_in, read_fer2013
from train.data.ferplus import read_votes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.fer2013 import Fer2013
    from train.data.ferplus import Votes

BLOCK: Final = 500
"""Rows with both labels that are compared together."""
LEAST_AGREEMENT: Final = 0.4
"""Of FER2013's labels with FER+'s majority in every block. In the official files 67 to 68 % agree;
one row further on, 19 %."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotated:
    """Pictures and votes, row by row."""

    fer: Fer2013
    votes: Votes


def read_annotated(folder: Path, cache_folder: Path | None = None) -> Annotated:
    """Read ``fer2013.csv``, plain or packed, and join the votes of ``fer2013new.csv`` to it.

    Neither file says which picture a row of the other belongs to but by its place, so both have to
    be in the official order and without gaps. A line is logged where ``fer2013.csv`` is not the
    official file.

    Raises:
        InputError: A file is missing or cannot be read, or the two do not fit together.
    """
    source = csv_in(folder)
    fer = read_fer2013(source, cache_folder)
    votes = read_votes(folder / "fer2013new.csv")
    if problem := mismatch(fer, votes):
        raise InputError(
            f"{folder}: {problem}; take fer2013.csv and fer2013new.csv as published,"
            " whole and in their order"
        )
    if not fer.official:
        _warn_once(source, fer.md5)
    return Annotated(fer=fer, votes=votes)


def mismatch(fer: Fer2013, votes: Votes) -> str | None:
    """Say in one clause why votes and pictures do not belong together; None where they do."""
    if len(votes.counts) != len(fer.labels):
        return f"{len(fer.labels)} pictures but {len(votes.counts)} rows of votes"
    if problem := _missing_votes(votes.names):
        return problem
    for row, (split, name) in enumerate(zip(fer.usage, votes.usage, strict=True)):
        if split >= 0 and USAGES[split] != name:
            return f"row {row} is of {USAGES[split]} among the pictures, of {name} among the votes"
    return _disagreement(fer.labels, votes.majority())


def _missing_votes(names: Sequence[str]) -> str | None:
    """Find rows that were taken out of the votes or moved.

    FER+ numbers its pictures in order and may skip only rows without a face, so a row's place
    never falls behind its number. Four official rows bear the number of a picture elsewhere: a
    median of three passes over such single rows.
    """
    rows = [row for row, name in enumerate(names) if name]
    try:
        numbers = [int(names[row].removeprefix("fer").removesuffix(".png")) for row in rows]
    except ValueError:
        return "the votes' column 'Image name' holds other names than fer0000000.png and so on"
    ahead = np.array(rows) - np.array(numbers)
    smooth = np.median(np.stack([ahead[:-2], ahead[1:-1], ahead[2:]]), axis=0)
    back = np.flatnonzero(np.diff(smooth) < 0)
    if len(back):
        return f"rows are missing or moved after row {rows[int(back[0]) + 1]} of the votes"
    return None


def _disagreement(labels: NDArray[np.int8], majority: NDArray[np.int8]) -> str | None:
    """Find pictures that lie beside other pictures' votes, by labels that hardly ever agree."""
    rows = np.flatnonzero((labels >= 0) & (majority >= 0) & (majority < CLASSES))
    same = labels[rows] == majority[rows]
    for start in range(0, len(rows) - BLOCK + 1, BLOCK):
        share = float(same[start : start + BLOCK].mean())
        if share < LEAST_AGREEMENT:
            first, last = rows[start], rows[start + BLOCK - 1]
            return (
                f"in rows {first} to {last} only {share:.0%} of the labels agree with the votes,"
                " so the votes belong to other pictures"
            )
    return None


@cache
def _warn_once(source: Path, md5: str) -> None:
    _log.warning(
        "%s: not the official FER2013 (MD5 %s, expected %s); figures measured on it are not"
        " comparable with published ones",
        source,
        md5,
        OFFICIAL_MD5,
    )

"""CK+48 as sequences: the frames of one recording together, with the person they show.

Licence: research use, on agreement with the authors (Lucey et al., CVPR workshop 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.errors import InputError
from train.data.ferplus import LABELS
from train.data.image_folder import read_ckplus48
from train.data.problems import Problems

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FRAMES: Final = 3
"""Frames the set holds of each recording, the last of them the apex."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceSequences:
    """Recordings in the order of their names.

    Attributes:
        frames: ``(n, frames, 48, 48)``, uint8 grey, in time.
        labels: ``(n,)``, int8, index into ``names``.
        names: The emotions that occur.
        subjects: Person of each recording.
        problems: What was left out.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.int8]
    names: tuple[str, ...]
    subjects: tuple[str, ...]
    problems: Problems


def read_sequences(root: Path) -> FaceSequences:
    """Gather ``CK+48/<emotion>/<subject>_<sequence>_<frame>.png`` by recording.

    A recording with other than three readable frames is named and left out.

    Raises:
        InputError: There is no such folder, or no whole recording in it.
    """
    tree = read_ckplus48(root)
    members: dict[str, list[int]] = {}
    for row, name in enumerate(tree.names):
        members.setdefault(name.rsplit("_", 1)[0], []).append(row)
    whole = {name: rows for name, rows in members.items() if len(rows) == FRAMES}
    cut = [f"{n}: {len(r)} frames, expected {FRAMES}" for n, r in members.items() if n not in whole]
    if not whole:
        raise InputError(f"{root}: found no recording of {FRAMES} frames; expected CK+48")
    first = [rows[0] for rows in whole.values()]
    present, labels = np.unique(tree.labels[first], return_inverse=True)
    return FaceSequences(
        frames=np.stack([tree.crops[rows] for rows in whole.values()]),
        labels=labels.astype(np.int8),
        names=tuple(LABELS[int(one)] for one in present),
        subjects=tuple(tree.subjects[row] for row in first),
        problems=Problems((*tree.problems.lines, *cut)),
    )

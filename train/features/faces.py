"""The faces that MediaPipe found in a set's images."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from emoshift.errors import InputError
from train.data.fer2013 import fer2013_source, read_fer2013
from train.features.measure import TABLE
from train.features.table import FeatureTable, mismatch, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from train.data.images import LabelledImages


@lru_cache(maxsize=1)
def measured_table(data: Path, cache: Path) -> FeatureTable:
    """Read what `train landmarks` measured on the FER2013 under ``data``.

    Raises:
        InputError: It has not measured yet, or has measured other pictures: row by row they would
            be taken for these.
    """
    path = cache / TABLE
    if not path.exists():
        raise InputError(f"{path}: not measured yet; run `train landmarks` first")
    table = read_table(path)
    if problem := mismatch(table, read_fer2013(fer2013_source(data), cache)):
        raise InputError(
            f"{path}: {problem} under {data}; give another --cache, or remove the file and run"
            " `train landmarks` again"
        )
    return table


def found_faces(images: LabelledImages, table: FeatureTable) -> LabelledImages:
    """Return the images in which a face was found."""
    return images.select(table.found[images.rows])

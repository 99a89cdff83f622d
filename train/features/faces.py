"""The faces that MediaPipe found in a set's images."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from emoshift.errors import InputError
from train.features.measure import TABLE
from train.features.table import FeatureTable, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from train.data.images import LabelledImages


@lru_cache(maxsize=1)
def measured_table(cache: Path) -> FeatureTable:
    """Read what `train landmarks` measured; raises `InputError` before it has."""
    if not (cache / TABLE).exists():
        raise InputError(f"{cache / TABLE}: not measured yet; run `train landmarks` first")
    return read_table(cache / TABLE)


def found_faces(images: LabelledImages, table: FeatureTable) -> LabelledImages:
    """Return the images in which a face was found."""
    return images.select(table.found[images.rows])

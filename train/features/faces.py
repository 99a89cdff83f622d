"""The faces that MediaPipe found among a set's pictures."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from emoshift.errors import InputError
from train.features.measure import TABLE
from train.features.table import FeatureTable, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from train.experiments.material import Labelled


@lru_cache(maxsize=1)
def measured_table(cache: Path) -> FeatureTable:
    """Read what `train landmarks` measured; raises `InputError` before it has."""
    if not (cache / TABLE).exists():
        raise InputError(f"{cache / TABLE}: not measured yet; run `train landmarks` first")
    return read_table(cache / TABLE)


def found_faces(pictures: Labelled, table: FeatureTable) -> Labelled:
    """Return the pictures in which a face was found."""
    kept = table.found[pictures.rows]
    return replace(
        pictures,
        rows=pictures.rows[kept],
        crops=pictures.crops[kept],
        own=pictures.own[kept],
        labels=pictures.labels[kept],
    )

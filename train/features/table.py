"""The measured features of a data set, one row a picture, as Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from train.data.near_duplicates import fingerprint
from train.features.landmarks import BLENDSHAPES, POINTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.fer2013 import Fer2013
    from train.features.landmarks import Measured

PICTURES: Final = b"pictures"
"""Key of the fingerprint in the file's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureTable:
    """Rows in the order of the data set.

    Attributes:
        found: ``(n,)``, bool: whether a face was found; the rest is zero where not.
        blendshapes: ``(n, 52)``, float32.
        points: ``(n, 478, 3)``, float32, pixels of the crop.
        matrices: ``(n, 4, 4)``, float32.
        pictures: `train.data.near_duplicates.fingerprint` of the pictures that were measured; empty
            in tables of earlier versions.
    """

    found: NDArray[np.bool_]
    blendshapes: NDArray[np.float32]
    points: NDArray[np.float32]
    matrices: NDArray[np.float32]
    pictures: str = ""


def write_table(path: Path, rows: Iterable[Measured | None], *, pictures: str = "") -> None:
    """Write rows as they come, a thousand at a time; the file appears when all are written.

    Args:
        path: The file.
        rows: What was measured on each picture.
        pictures: Their fingerprint.
    """
    schema = pa.schema(
        [
            ("found", pa.bool_()),
            ("blendshapes", pa.list_(pa.float32(), BLENDSHAPES)),
            ("points", pa.list_(pa.float32(), POINTS * 3)),
            ("matrix", pa.list_(pa.float32(), 16)),
        ],
        metadata={PICTURES: pictures},
    )
    part = path.with_suffix(".part")
    with pq.ParquetWriter(part, schema, compression="zstd") as writer:
        waiting: list[Measured | None] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) == 1000:
                writer.write_table(_as_arrow(waiting, schema))
                waiting.clear()
        if waiting:
            writer.write_table(_as_arrow(waiting, schema))
    part.replace(path)


def read_table(path: Path) -> FeatureTable:
    """Read what `write_table` wrote."""
    table = pq.read_table(path)
    return FeatureTable(
        found=table["found"].to_numpy(),
        blendshapes=_column(table, "blendshapes").reshape(-1, BLENDSHAPES),
        points=_column(table, "points").reshape(-1, POINTS, 3),
        matrices=_column(table, "matrix").reshape(-1, 4, 4),
        pictures=(table.schema.metadata or {}).get(PICTURES, b"").decode(),
    )


def mismatch(table: FeatureTable, fer: Fer2013) -> str | None:
    """Say in one clause why a table is not that of a FER2013's pictures; None where it is."""
    if len(table.found) != len(fer.labels):
        return f"measured on {len(table.found)} pictures, found {len(fer.labels)}"
    if table.pictures and table.pictures != fingerprint(fer.pixels):
        return "measured on other pictures than those"
    return None


def _column(table: pa.Table, name: str) -> NDArray[np.float32]:
    flat = table[name].combine_chunks().flatten()
    return np.asarray(flat.to_numpy(zero_copy_only=False), np.float32)


def _as_arrow(rows: list[Measured | None], schema: pa.Schema) -> pa.Table:
    def column(name: str, size: int) -> pa.Array:
        flat = np.zeros((len(rows), size), np.float32)
        for i, row in enumerate(rows):
            if row is not None:
                flat[i] = getattr(row, name).ravel()
        return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), size)

    return pa.Table.from_arrays(
        [
            pa.array([row is not None for row in rows]),
            column("blendshapes", BLENDSHAPES),
            column("points", POINTS * 3),
            column("matrix", 16),
        ],
        schema=schema,
    )

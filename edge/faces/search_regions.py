"""Where to look for faces next: near, classroom or far, at about the same cost each time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.faces.detector import Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.values import Box

INPUT_PX: Final = 640 * 360
"""Pixels of the detector's input in a look at the whole frame, or at one tile of it."""
NEAR: Final = 0.5
"""Scale of the near look over that of the whole look."""
NEAR_SURE: Final = 1.4
"""A near look suffices when every known face is this much wider than the smallest one found."""
NEAR_RUN: Final = 4
"""Looks at the whole frame of which one is fine, while coarse near looks suffice."""
TILE_RUN: Final = 4
TILE_RUN_KNOWN: Final = 2
"""Rounds from one far tile to the next: without and with known faces that only tiles show."""
OVERLAP_FACES: Final = 2.5
"""Overlap of the tiles, in widths of the widest face that only tiles show."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """Far tiles of one frame size."""

    size: tuple[int, int]
    scale: float
    tiles: tuple[Region, ...]


class SearchRegionPlanner:
    """Chooses the region of each detection round; the same rounds always give the same regions.

    Args:
        smallest_px: Width of the smallest face the detector finds reliably, pixels of its input.
        wanted_px: Width of the smallest face to be found, pixels of the frame.
        tiled: Whether the detector gains from tiles.
    """

    def __init__(self, *, smallest_px: float, wanted_px: float, tiled: bool = True) -> None:
        self._smallest_px = smallest_px
        self._wanted_px = wanted_px
        self._tiled = tiled
        self._round = 0
        self._whole = 0
        self._grid: _Grid | None = None
        self._visited: list[int] = []

    def next_region(
        self, width_px: int, height_px: int, known: Sequence[Box], scale: float = 1.0
    ) -> Region:
        """Choose the next region.

        Args:
            width_px: Width of the frame.
            height_px: Height of the frame.
            known: Boxes of the faces that are followed.
            scale: Share of the usual input size, from the load governor.
        """
        whole = min(1.0, math.sqrt(INPUT_PX / (width_px * height_px))) * scale
        grid = self._tiles(width_px, height_px, whole, scale)
        self._round += 1
        only_tiles = [box for box in known if box.width * whole < self._smallest_px]
        run = TILE_RUN_KNOWN if only_tiles else TILE_RUN
        if grid.tiles and self._round % run == 0:
            return self._pick_tile(grid, only_tiles)
        narrowest = min((box.width for box in known), default=0.0)
        if self._whole % NEAR_RUN and narrowest * whole * NEAR >= self._smallest_px * NEAR_SURE:
            whole *= NEAR
        self._whole += 1
        return Region(x=0, y=0, width=width_px, height=height_px, scale=whole)

    def could_find(self, region: Region, box: Box, frame_size: tuple[int, int]) -> bool:
        """Whether a face with this box should have been found in a look at ``region``.

        A box beyond the edge of the frame counts too: whoever it was has left.
        """
        wide_enough = box.width * region.scale >= self._smallest_px
        return wide_enough and not self.cuts(region, box, frame_size)

    def cuts(self, region: Region, box: Box, frame_size: tuple[int, int]) -> bool:
        """Whether an inner edge of the region cuts through a face found there."""
        width_px, height_px = frame_size
        return (
            (region.x > 0 and box.x < region.x + 1)
            or (region.y > 0 and box.y < region.y + 1)
            or (
                region.x + region.width < width_px
                and box.x + box.width > region.x + region.width - 1
            )
            or (
                region.y + region.height < height_px
                and box.y + box.height > region.y + region.height - 1
            )
        )

    def _tiles(self, width_px: int, height_px: int, whole: float, scale: float) -> _Grid:
        """Lay overlapping tiles where the whole look cannot show the smallest wanted faces."""
        grid = self._grid
        if grid is not None and grid.size == (width_px, height_px) and grid.scale == scale:
            return grid
        tiles: tuple[Region, ...] = ()
        far = min(1.0, self._smallest_px / self._wanted_px) * scale
        if self._tiled and far > whole * 1.1:
            overlap = OVERLAP_FACES * self._smallest_px / whole
            columns, rows = _split(width_px, height_px, far, overlap)
            tiles = tuple(
                Region(x=x0, y=y0, width=x1 - x0, height=y1 - y0, scale=far)
                for y0, y1 in _spans(height_px, rows, overlap)
                for x0, x1 in _spans(width_px, columns, overlap)
            )
        self._grid = _Grid((width_px, height_px), scale, tiles)
        self._visited = [0] * len(tiles)
        return self._grid

    def _pick_tile(self, grid: _Grid, only_tiles: Sequence[Box]) -> Region:
        """Take the tile longest unvisited; one that holds faces counts threefold."""

        def urgency(index: int) -> int:
            holds = any(grid.tiles[index].holds(box) for box in only_tiles)
            return (self._round - self._visited[index]) * (3 if holds else 1)

        index = max(range(len(grid.tiles)), key=lambda i: (urgency(i), -i))
        self._visited[index] = self._round
        return grid.tiles[index]


def _split(width_px: int, height_px: int, far: float, overlap: float) -> tuple[int, int]:
    """Find the fewest columns and rows whose tiles cost no more than a whole look."""
    best = (1, 1)
    for count in range(1, 65):
        for columns in range(1, count + 1):
            if count % columns:
                continue
            rows = count // columns
            wide = _span(width_px, columns, overlap)
            high = _span(height_px, rows, overlap)
            if wide * high * far * far <= INPUT_PX * 1.15:
                return columns, rows
            best = (columns, rows)
    return best


def _span(length: int, count: int, overlap: float) -> int:
    """Length of each of ``count`` equal spans that overlap their neighbours."""
    return min(math.ceil((length + overlap * (count - 1)) / count), length)


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Cut ``length`` into equal overlapping spans, so that one network serves them all."""
    span = _span(length, count, overlap)
    starts = [round(i * (length - span) / max(count - 1, 1)) for i in range(count)]
    return [(start, start + span) for start in starts]

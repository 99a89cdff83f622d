"""What every detector takes and gives: regions of a frame in, detections out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge.faces.tracker import Detection
    from edge.values import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """An upright part of the frame, and the size at which a detector is to look at it.

    Attributes:
        x, y: Left and upper edge, pixels of the frame, inside the frame.
        width, height: Size, pixels of the frame.
        scale: Pixels of the detector's input for each pixel of the frame, at most 1.
    """

    x: int
    y: int
    width: int
    height: int
    scale: float

    def holds(self, box: Box) -> bool:
        """Whether ``box`` lies inside."""
        return (
            box.x >= self.x
            and box.y >= self.y
            and box.x + box.width <= self.x + self.width
            and box.y + box.height <= self.y + self.height
        )


class Detector(Protocol):
    """Finds faces in one region of one picture; not for two threads at a time."""

    @property
    def name(self) -> str:
        """Name for the log and ``/info``."""
        ...

    @property
    def smallest_px(self) -> float:
        """Width of the smallest face it finds reliably, pixels of its input."""
        ...

    @property
    def tiled(self) -> bool:
        """Whether looking at a part of the frame shows it smaller faces."""
        ...

    def search(self, image: NDArray[np.uint8], region: Region) -> Sequence[Detection]:
        """Return the faces in ``region`` of a BGR picture, without duplicates."""
        ...

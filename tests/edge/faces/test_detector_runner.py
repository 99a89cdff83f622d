"""Searching beside the caller."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np

from edge.faces.detector import Region
from edge.faces.detector_runner import AsyncRunner
from edge.values import Frame
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.faces.tracker import Detection


class Blind:
    """A detector that finds nothing."""

    name = "blind"
    smallest_px = 20.0
    tiled = False

    def search(self, _image: NDArray[np.uint8], _region: Region) -> list[Detection]:
        return []


def test_no_picture_is_kept_between_rounds() -> None:
    """Once a round is over its frame is free: at 1920x1080 it is six megabytes."""
    runner = AsyncRunner(Blind())
    try:
        frame = Frame(image=np.zeros((8, 8, 3), np.uint8), seq=0, captured_s=0.0)
        image = weakref.ref(frame.image)
        runner.submit(frame, Region(x=0, y=0, width=8, height=8, scale=1.0))
        del frame
        wait_until(lambda: runner.poll() is not None)
        wait_until(lambda: image() is None)
    finally:
        runner.close()

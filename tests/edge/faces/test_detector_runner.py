"""Searching beside the caller."""

from __future__ import annotations

import itertools
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edge.faces.detector import Region
from edge.faces.detector_runner import AsyncRunner
from edge.values import Frame
from tests.support.interrupting import interrupt
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


def test_an_interrupt_at_any_moment_does_not_keep_it_from_closing() -> None:
    """Wherever Ctrl-C ends the caller, `close` returns."""
    frame = Frame(image=np.zeros((8, 8, 3), np.uint8), seq=0, captured_s=0.0)
    region = Region(x=0, y=0, width=8, height=8, scale=1.0)

    def use(runner: AsyncRunner) -> None:
        if not runner.busy:
            runner.submit(frame, region)
        runner.poll()

    for moment in itertools.count():
        runner = AsyncRunner(Blind())
        interrupted = interrupt(partial(use, runner), after=moment)
        closing = threading.Thread(target=runner.close, daemon=True)
        closing.start()
        closing.join(30)
        assert not closing.is_alive(), f"hangs when interrupted after {moment} instructions"
        if not interrupted:
            break
    assert moment > 20

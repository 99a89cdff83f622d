"""Running the detector: in line where a replay must repeat itself, else on a thread of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge.faces.detector import Detector, Region
    from edge.faces.tracker import Detection
    from edge.values import Frame


@dataclass(frozen=True, slots=True, eq=False)
class DetectionResult:
    """One finished look at one region of one frame.

    Attributes:
        region: What was looked at.
        detections: What was found.
        measured_s: Capture time of the frame.
        took_s: Time the detector needed.
        frame_size: Width and height of the frame, pixels.
    """

    region: Region
    detections: tuple[Detection, ...]
    measured_s: float
    took_s: float
    frame_size: tuple[int, int]


class DetectorRunner(Protocol):
    """Takes frames to be searched and gives back what was found."""

    @property
    def busy(self) -> bool:
        """Whether it cannot take a frame now."""
        ...

    def submit(self, frame: Frame, region: Region) -> None:
        """Search ``region`` of ``frame``; not while busy."""
        ...

    def poll(self) -> DetectionResult | None:
        """Return the round that finished since the last call, if one did."""
        ...

    def close(self) -> None:
        """Stop; a round under way is waited for and dropped."""
        ...


class SyncRunner:
    """Searches when a frame is offered; the result is there at once."""

    busy = False

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._done: DetectionResult | None = None

    def submit(self, frame: Frame, region: Region) -> None:
        """Search now."""
        self._done = _detect(self._detector, frame, region)

    def poll(self) -> DetectionResult | None:
        """Return the last round once."""
        done, self._done = self._done, None
        return done

    def close(self) -> None:
        """Nothing to stop."""


class AsyncRunner:
    """Searches beside the caller, who goes on with the tracks meanwhile.

    No lock is written in Python here: Ctrl-C could end the caller between taking it and the block
    that gives it back, and `close` would wait for ever for the thread, which needs it too.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._jobs: SimpleQueue[tuple[Frame, Region] | None] = SimpleQueue()
        self._results: SimpleQueue[DetectionResult | Exception] = SimpleQueue()
        self._busy = False
        self._thread = threading.Thread(target=self._work, name="face-search", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a round is under way or not yet taken."""
        return self._busy

    def submit(self, frame: Frame, region: Region) -> None:
        """Begin a round."""
        self._busy = True
        self._jobs.put((frame, region))

    def poll(self) -> DetectionResult | None:
        """Return the finished round once; raises what went wrong on the thread."""
        try:
            done = self._results.get_nowait()
        except Empty:
            return None
        self._busy = False
        if isinstance(done, Exception):
            raise done
        return done

    def close(self) -> None:
        """Stop the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """Wait for a frame and search it; no frame is kept while it waits for the next.

        Returns:
            Whether to go on.
        """
        job = self._jobs.get()
        if job is None:
            return False
        try:
            self._results.put(_detect(self._detector, *job))
        except Exception as why:  # noqa: BLE001 - handed to the caller's thread by poll()
            self._results.put(why)
        return True


def _detect(detector: Detector, frame: Frame, region: Region) -> DetectionResult:
    began = time.perf_counter()
    detections = tuple(detector.search(frame.image, region))
    return DetectionResult(
        region=region,
        detections=detections,
        measured_s=frame.captured_s,
        took_s=time.perf_counter() - began,
        frame_size=(frame.width_px, frame.height_px),
    )

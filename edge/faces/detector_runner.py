"""Running the detector: in line where a replay must repeat itself, else on a thread of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
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
    """Searches beside the caller, who goes on with the tracks meanwhile."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._lock = threading.Condition()
        self._job: tuple[Frame, Region] | None = None
        self._busy = False
        self._done: DetectionResult | None = None
        self._failure: Exception | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="face-search", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a round is under way or not yet taken."""
        with self._lock:
            return self._busy or self._done is not None

    def submit(self, frame: Frame, region: Region) -> None:
        """Begin a round."""
        with self._lock:
            self._job, self._busy = (frame, region), True
            self._lock.notify()

    def poll(self) -> DetectionResult | None:
        """Return the finished round once; raises what went wrong on the thread."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            done, self._done = self._done, None
            return done

    def close(self) -> None:
        """Stop the thread."""
        with self._lock:
            self._closing = True
            self._lock.notify()
        self._thread.join()

    def _work(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        """Wait for a frame and search it; no frame is kept while it waits for the next.

        Returns:
            Whether to go on.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._job is not None or self._closing)
            if self._closing or self._job is None:
                return False
            (frame, region), self._job = self._job, None
        try:
            done = _detect(self._detector, frame, region)
        except Exception as why:  # noqa: BLE001 - handed to the caller's thread by poll()
            with self._lock:
                self._failure, self._busy = why, False
            return False
        with self._lock:
            self._done, self._busy = done, False
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

"""A live source on its own thread: only the newest frame is kept, and a lost device comes back.

OpenCV queues stale frames when nobody reads, so a thread reads all the time into a box that holds
one frame; a slow pipeline then sees fewer frames, never older ones.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from edge.capture.pictures import RateLimit, as_bgr
from edge.capture.protocol import CaptureState, CaptureStatus
from edge.values import Frame, frozen
from emoshift.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.protocol import CaptureDevice, CapturedImage

log = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 4.0
FROZEN_AFTER_S: Final = 3.0
MOST_FAILED: Final = 30
"""Failed reads in a row after which a device is opened again."""
SILENT_AFTER_S: Final = 3.0
"""Time without one good picture after which failed reads are a loss, however few they are."""


class NewestFrame:
    """Reads a device on a thread and hands out its newest frame.

    Args:
        open_device: Opens the device; raises `CameraError` with a reason where it cannot.
        clock: Monotonic seconds.
        max_fps: Frames beyond this rate are skipped.
        frozen_after_s: A device whose time stamp stands still for this long repeats an old
            picture: it is opened again, and counts as lost until its time goes on. The picture
            itself says nothing: a compressed stream of a quiet room repeats to the last bit.
    """

    def __init__(
        self,
        open_device: Callable[[], CaptureDevice],
        *,
        clock: Callable[[], float],
        max_fps: float = 1000.0,
        frozen_after_s: float = FROZEN_AFTER_S,
    ) -> None:
        self._open_device = open_device
        self._clock = clock
        self._max_fps = max_fps
        self._frozen_after_s = frozen_after_s
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._newest: Frame | None = None
        self._state = CaptureState.OPENING
        self._reason = ""
        self._frames = self._dropped = self._reopened = self._damaged = 0
        self._mode = ""
        self._frozen_stamp_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not yet taken, or ``None`` after the time-out."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._newest is not None or self._stopping.is_set(), timeout_s
            )
            frame, self._newest = self._newest, None
            return frame

    def status(self) -> CaptureStatus:
        """Say how the device is doing."""
        with self._changed:
            return CaptureStatus(
                state=self._state,
                reason=self._reason,
                frames=self._frames,
                dropped=self._dropped,
                reopened=self._reopened,
                damaged=self._damaged,
                mode=self._mode,
            )

    def close(self) -> None:
        """Stop the thread and let go of the device."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=5.0)
        with self._changed:
            self._state = CaptureState.ENDED

    def _run(self) -> None:
        wait_s = FIRST_RETRY_S
        while not self._stopping.is_set():
            before = self._frames
            self._enter(self._lost_reason())
            if self._frames > before:
                wait_s = FIRST_RETRY_S
            if self._stopping.wait(wait_s):
                break
            wait_s = min(wait_s * 2, LONGEST_RETRY_S)

    def _enter(self, reason: str) -> None:
        """Record a loss; the first one is a warning, its repetitions are not."""
        with self._changed:
            again = self._state is CaptureState.LOST and self._reason == reason
            self._state, self._reason = CaptureState.LOST, reason
        if not self._stopping.is_set():
            log.log(
                logging.DEBUG if again else logging.WARNING, "camera lost: %s; retrying", reason
            )

    def _lost_reason(self) -> str:
        """Read the device until it fails, and say why it did."""
        try:
            device = self._open_device()
        except CameraError as why:
            return str(why)
        with self._changed:
            self._mode = device.mode
        log.info("camera: %s", device.mode)
        try:
            return self._read_all(device)
        except CameraError as why:
            return str(why)
        finally:
            device.close()

    def _read_all(self, device: CaptureDevice) -> str:
        limit = RateLimit(self._max_fps)
        watch = _StampWatch(self._frozen_stamp_s, self._clock())
        good_s, failed = self._clock(), 0
        while not self._stopping.is_set():
            picture = device.read()
            now_s = self._clock()
            if picture is None:
                failed += 1
                self._count_damaged()
                if failed >= MOST_FAILED or now_s - good_s > SILENT_AFTER_S:
                    return "no picture from the device (unplugged, or taken by another program)"
                continue
            good_s, failed = now_s, 0
            stands_s = watch.stands_still_s(picture, now_s)
            if stands_s > self._frozen_after_s:
                self._frozen_stamp_s = picture.stamp_s
                return f"the camera repeats one picture since {self._frozen_after_s:g} s (frozen)"
            if picture.stamp_s is not None and picture.stamp_s == self._frozen_stamp_s:
                continue
            self._frozen_stamp_s = None
            if limit.takes(now_s):
                self._put(as_bgr(picture.image), now_s)
        return "stopped"

    def _count_damaged(self) -> None:
        with self._changed:
            self._damaged += 1
            first = self._damaged == 1
        log.log(
            logging.WARNING if first else logging.DEBUG,
            "a frame from the camera was damaged and left out (%d so far)",
            self._damaged,
        )

    def _put(self, image: NDArray[np.uint8], now_s: float) -> None:
        with self._changed:
            if self._state is not CaptureState.RUNNING:
                if self._frames:
                    self._reopened += 1
                    log.warning("camera is back")
                self._state, self._reason = CaptureState.RUNNING, ""
            if self._newest is not None:
                self._dropped += 1
            self._newest = Frame(image=frozen(image), seq=self._frames, captured_s=now_s)
            self._frames += 1
            self._changed.notify_all()


class _StampWatch:
    """Notices a device whose time stamp stands still."""

    def __init__(self, stamp_s: float | None, now_s: float) -> None:
        self._stamp_s = stamp_s
        self._since_s = now_s

    def stands_still_s(self, picture: CapturedImage, now_s: float) -> float:
        """How long the stamp has been the same; 0 where there is none to judge by."""
        if picture.stamp_s is None or picture.stamp_s != self._stamp_s:
            self._stamp_s, self._since_s = picture.stamp_s, now_s
        return now_s - self._since_s

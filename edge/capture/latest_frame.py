"""A live source on its own thread: only the newest frame is kept, and a lost device comes back.

OpenCV queues stale frames when nobody reads, so a thread reads all the time into a box that holds
one frame; a slow pipeline then sees fewer frames, never older ones.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from edge.capture.pictures import RateLimit, as_bgr
from edge.capture.protocol import CaptureState, CaptureStatus
from edge.values import Frame, frozen
from emoshift.errors import CameraError
from emoshift.stop_flag import StopFlag

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

    Caller and thread share no lock that is written in Python: Ctrl-C could end the caller between
    taking it and the block that gives it back, and the thread would never let go of the device.

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
        self._stopping = StopFlag()
        self._newest: SimpleQueue[Frame] = SimpleQueue()  # never more than one
        self._status = CaptureStatus(
            state=CaptureState.OPENING, reason="", frames=0, dropped=0, reopened=0
        )
        self._frozen_stamp_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not yet taken, or ``None`` after the time-out."""
        try:
            return self._newest.get(timeout=timeout_s)
        except Empty:
            return None

    def status(self) -> CaptureStatus:
        """Say how the device is doing."""
        return self._status

    def close(self) -> None:
        """Stop the thread and let go of the device."""
        self._stopping.set()
        self._thread.join(timeout=5.0)
        self._update(state=CaptureState.ENDED)

    def _update(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)

    def _run(self) -> None:
        wait_s = FIRST_RETRY_S
        while not self._stopping.is_set():
            before = self._status.frames
            self._enter(self._lost_reason())
            if self._status.frames > before:
                wait_s = FIRST_RETRY_S
            if self._stopping.wait(wait_s):
                break
            wait_s = min(wait_s * 2, LONGEST_RETRY_S)

    def _enter(self, reason: str) -> None:
        """Record a loss; the first one is a warning, its repetitions are not."""
        status = self._status
        again = status.state is CaptureState.LOST and status.reason == reason
        self._update(state=CaptureState.LOST, reason=reason)
        if not self._stopping.is_set():
            log.log(
                logging.DEBUG if again else logging.WARNING, "camera lost: %s; retrying", reason
            )

    def _lost_reason(self) -> str:
        """Read the device until it fails, and say why it did.

        A vendor's library may raise anything. Whatever it is, the device is opened again.
        """
        try:
            return self._use_device()
        except CameraError as why:
            return str(why)
        except Exception as why:
            log.debug("camera lost", exc_info=True)
            return " ".join(f"{type(why).__name__}: {why}".split())

    def _use_device(self) -> str:
        device = self._open_device()
        try:
            self._update(mode=device.mode)
            log.info("camera: %s", device.mode)
            return self._read_all(device)
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
        damaged = self._status.damaged + 1
        self._update(damaged=damaged)
        log.log(
            logging.WARNING if damaged == 1 else logging.DEBUG,
            "a frame from the camera was damaged and left out (%d so far)",
            damaged,
        )

    def _put(self, image: NDArray[np.uint8], now_s: float) -> None:
        status = self._status
        reopened, dropped = status.reopened, status.dropped
        if status.state is not CaptureState.RUNNING and status.frames:
            reopened += 1
            log.warning("camera is back")
        with contextlib.suppress(Empty):
            self._newest.get_nowait()
            dropped += 1
        self._update(
            state=CaptureState.RUNNING,
            reason="",
            frames=status.frames + 1,
            dropped=dropped,
            reopened=reopened,
        )
        self._newest.put(Frame(image=frozen(image), seq=status.frames, captured_s=now_s))


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

"""A file played as if it were a camera: at its own speed, newest frame only, once."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final

from edge.capture.protocol import CaptureState, CaptureStatus
from edge.values import Frame
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.clip import Clip

log = logging.getLogger(__name__)

PAUSE_S: Final = 3.0
"""A gap between two pictures that is longer is reported as the loss of the camera that it was."""


class Playback:
    """Plays a clip against the clock; frames nobody was ready for are dropped.

    Args:
        clip: The video file.
        clock: Monotonic seconds.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        clip: Clip,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clip = clip
        self._frames = clip.frames()
        self._clock = clock
        self._sleep = sleep
        self._started_s: float | None = None
        self._pending: Frame | None = None
        self._state = CaptureState.RUNNING
        self._reason = ""
        self._shown_s = math.inf
        self._taken = 0
        self._dropped = 0

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Wait for the next frame that is due; ``None`` after the time-out or at the end."""
        frame, self._pending = self._pending or self._read(), None
        if frame is None:
            return None
        if self._started_s is None:
            self._started_s = self._clock() - frame.captured_s
        frame = self._newest_due(frame, self._started_s)
        due_s = self._started_s + frame.captured_s
        wait_s = due_s - self._clock()
        if wait_s > timeout_s:
            self._pending = frame
            self._pause(frame.captured_s - self._shown_s)
            self._sleep(timeout_s)
            return None
        if wait_s > 0:
            self._sleep(wait_s)
        self._taken += 1
        self._shown_s = frame.captured_s
        if self._state is CaptureState.LOST:
            self._state, self._reason = CaptureState.RUNNING, ""
        return Frame(image=frame.image, seq=frame.seq, captured_s=due_s)

    def _pause(self, gap_s: float) -> None:
        """Call a long gap between two pictures what it was: a camera that gave nothing."""
        if gap_s > PAUSE_S and self._state is CaptureState.RUNNING:
            self._state = CaptureState.LOST
            self._reason = f"the clip has no picture for {gap_s:.0f} s"

    def _newest_due(self, frame: Frame, started_s: float) -> Frame:
        """Pass over frames that a newer one has overtaken already."""
        while started_s + frame.captured_s + 0.5 / self._clip.fps <= self._clock():
            following = self._read()
            if following is None:
                break
            if started_s + following.captured_s > self._clock():
                self._pending = following
                break
            self._dropped += 1
            frame = following
        return frame

    def status(self) -> CaptureStatus:
        """Say how far the clip is."""
        return CaptureStatus(
            state=self._state,
            reason=self._reason,
            frames=self._taken + self._dropped,
            dropped=self._dropped,
            reopened=0,
            damaged=self._clip.damaged,
            mode=self._clip.mode,
        )

    def close(self) -> None:
        """Let go of the file."""
        self._frames.close()  # type: ignore[attr-defined]  # a generator has it
        self._clip.close()  # which a generator that was never begun does not
        self._state = CaptureState.ENDED

    def _read(self) -> Frame | None:
        if self._state is CaptureState.ENDED:
            return None
        try:
            return next(self._frames)
        except StopIteration:
            self._state = CaptureState.ENDED
        except InputError as why:
            self._state, self._reason = CaptureState.ENDED, str(why)
        if self._clip.damaged:
            log.warning("%d damaged frames were left out", self._clip.damaged)
        return None

"""What every source of frames offers, and the states a camera can be in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.values import Frame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapturedImage:
    """One picture as a device gave it.

    Attributes:
        image: Shape ``(height, width, 3)``, uint8, BGR.
        stamp_s: The source's own time stamp, seconds from any origin; ``None`` where it has none.
            A device whose stamp stands still repeats an old picture.
    """

    image: NDArray[np.uint8]
    stamp_s: float | None = None


class CaptureDevice(Protocol):
    """One opened camera or stream: the only thing an adapter has to provide."""

    @property
    def mode(self) -> str:
        """What was negotiated, such as ``1280x720 MJPG, 30 frames a second``."""
        ...

    def read(self) -> CapturedImage | None:
        """Wait for the next picture; ``None`` for one that failed or was damaged.

        Raises:
            CameraError: The device is gone, or the stream has ended.
        """
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class CaptureState(Enum):
    """Where a live source stands."""

    OPENING = "opening"
    RUNNING = "running"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStatus:
    """What an operator sees of the camera.

    Attributes:
        state: Where the source stands.
        reason: Why it is not running, in one line; empty while it runs.
        frames: Frames grabbed so far.
        dropped: Frames that were replaced by a newer one before anyone took them.
        reopened: How often the device had to be opened again.
        damaged: Frames that could not be read.
        mode: Picture size, pixel format and rate as negotiated; empty before the first opening.
    """

    state: CaptureState
    reason: str
    frames: int
    dropped: int
    reopened: int
    damaged: int = 0
    mode: str = ""


class Capture(Protocol):
    """A source the frame loop takes frames from."""

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Return the newest frame not yet taken; ``None`` after the time-out or at the end."""
        ...

    def status(self) -> CaptureStatus:
        """Say how the source is doing."""
        ...

    def close(self) -> None:
        """Stop and let go of the device."""
        ...

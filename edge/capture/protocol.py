"""What every source of frames offers, and the states a camera can be in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.values import Frame


class Device(Protocol):
    """One opened camera, stream or file: the only thing an adapter has to provide."""

    def read(self) -> NDArray[np.uint8] | None:
        """Wait for the next picture, shape ``(height, width, 3)``, BGR; ``None`` when it failed."""
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
    """What an operator is told of the camera.

    Attributes:
        state: Where the source stands.
        reason: Why it is not running, in one line; empty while it runs.
        frames: Frames grabbed so far.
        dropped: Frames that were replaced by a newer one before anyone took them.
        reopened: How often the device had to be opened again.
    """

    state: CaptureState
    reason: str
    frames: int
    dropped: int
    reopened: int


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

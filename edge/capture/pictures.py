"""What every source does to its pictures: BGR, upright, and no more of them than wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from emoshift.errors import CameraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TURNS: Final = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def as_bgr(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring a decoded picture to three channels, blue first.

    Args:
        image: Shape ``(height, width)``, or ``(height, width, channels)`` with 1, 3 or 4 channels
            in OpenCV's order; uint8, or uint16 of which the upper byte counts.

    Raises:
        CameraError: The picture has another form.
    """
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in {2, 3} or image.size == 0:
        raise CameraError(_unknown(image))
    match channels:
        case 3:
            return image
        case 1:
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
        case 4:
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), dtype=np.uint8)
    raise CameraError(_unknown(image))


def _unknown(image: NDArray[Any]) -> str:
    return (
        f"pictures of shape {image.shape} and type {image.dtype} are not understood; set"
        ' camera.pixel_format to one the camera knows, such as "YUYV" or "MJPG"'
    )


def turned(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """Turn a picture clockwise by 0, 90, 180 or 270 degrees."""
    turn = _TURNS.get(degrees % 360)
    return image if turn is None else np.asarray(cv2.rotate(image, turn), dtype=np.uint8)


class RateLimit:
    """Picks frames so that there are no more than so many a second, evenly.

    Args:
        fps: Most frames a second; a rate that is nearly this passes whole.
    """

    def __init__(self, fps: float) -> None:
        self._gap_s = 1 / fps
        self._due_s: float | None = None

    def takes(self, at_s: float) -> bool:
        """Whether the frame of this time is taken; times must not decrease."""
        if self._due_s is None:
            self._due_s = at_s
        if at_s < self._due_s - min(0.1 * self._gap_s, 0.01):
            return False
        self._due_s = max(self._due_s + self._gap_s, at_s)
        return True

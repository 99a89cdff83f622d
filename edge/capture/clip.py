"""Every frame of a video file, in order and without a clock: for replays and measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.capture.ffmpeg import DecodeError, Decoder, count_packets
from edge.capture.pictures import RateLimit, turned
from edge.values import Frame, frozen
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

DEFAULT_FPS: Final = 30.0
LONGEST_GAP_S: Final = 3600.0
"""A time stamp that leaps further is a fault of the file, not a pause."""


class Clip:
    """A video file that can be read through once.

    Args:
        path: The file.
        rotate: Clockwise turn of the picture, degrees, besides the one the file asks for.
        max_fps: Frames beyond this rate are left out; ``None`` takes every frame.

    Attributes:
        path: The file.
        fps: Its average frame rate; `DEFAULT_FPS` where the file does not say.

    Raises:
        InputError: The file is missing, empty, or not a video that can be decoded.
    """

    def __init__(self, path: Path, *, rotate: int = 0, max_fps: float | None = None) -> None:
        if not path.exists():
            raise InputError(f"{path}: no such file; give the path of a video")
        if path.is_dir():
            raise InputError(f"{path}: is a folder; give the path of a video")
        if not path.is_file():
            raise InputError(f"{path}: is not a regular file; give the path of a video")
        try:
            with path.open("rb") as file:
                empty = not file.read(1)
        except OSError as why:
            raise InputError(f"{path}: cannot be read: {why.strerror}") from None
        if empty:
            raise InputError(f"{path}: is empty; give the path of a video")
        self.path = path
        try:
            # "file:" keeps a name with a colon in it from being taken for an address.
            self._decoder = Decoder(f"file:{path}", live=False)
        except DecodeError as why:
            raise InputError(
                f"{path}: not a video that can be decoded, or cut short: {why}"
            ) from None
        self.fps = self._decoder.fps or DEFAULT_FPS
        self._rotate = rotate
        self._lost = 0
        self._limit = None if max_fps is None else RateLimit(max_fps)

    def __len__(self) -> int:
        """Number of frames in the file: by its index, or else by reading through it undecoded."""
        return count_packets(f"file:{self.path}")

    @property
    def mode(self) -> str:
        """Picture size, codec and rate."""
        return self._decoder.mode

    @property
    def damaged(self) -> int:
        """Frames that could not be decoded so far; at the end also those the index names."""
        return self._lost or self._decoder.damaged

    def close(self) -> None:
        """Let go of the file; harmless more than once."""
        self._decoder.close()

    def frames(self) -> Iterator[Frame]:
        """Yield each frame, timed by the container's time stamps from the first frame on.

        Damaged frames are left out and counted.

        Raises:
            InputError: Not one frame can be decoded; too many in a row are damaged; a file whose
                index counts its frames lacks more than a second of them, so it was cut short; or
                the whole clip is one flat colour, so there was nothing to see.
        """
        times = _Times(1 / self.fps)
        good, flat = 0, _Flatness()
        try:
            for picture in self._decoder.pictures():
                if picture is None:
                    continue
                at_s = times.place(picture.stamp_s)
                good += 1
                flat.add(picture.image)
                if self._limit is not None and not self._limit.takes(at_s):
                    continue
                image = turned(picture.image, self._rotate)
                yield Frame(image=frozen(image), seq=good - 1, captured_s=at_s)
        except DecodeError as why:
            raise InputError(f"{self.path}: cannot be read after {good} frames: {why}") from None
        finally:
            self.close()
        if good == 0:
            raise InputError(f"{self.path}: holds no frame that can be decoded")
        if (missing := self._decoder.cut_off) > self.fps:
            raise InputError(f"{self.path}: cut short: its last {missing} frames are not there")
        self._lost = self._decoder.lost
        if flat.whole and good > 1:
            raise InputError(
                f"{self.path}: all {good} frames are one flat colour; the camera was covered, or"
                " the file cannot be decoded rightly"
            )


class _Times:
    """Makes a container's time stamps start at zero and never decrease."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._origin_s: float | None = None
        self._last_s = -step_s

    def place(self, stamp_s: float | None) -> float:
        """Return the time of a frame; one without a stamp follows the one before it."""
        next_s = self._last_s + self._step_s
        if stamp_s is None:
            at_s = next_s
        else:
            if self._origin_s is None:
                self._origin_s = stamp_s - next_s
            at_s = stamp_s - self._origin_s
            if not self._last_s - 1.0 < at_s < self._last_s + LONGEST_GAP_S:
                # The clock of the recorder was set, or wrapped: go on from here.
                self._origin_s, at_s = stamp_s - next_s, next_s
        self._last_s = max(at_s, self._last_s)
        return self._last_s


class _Flatness:
    """Whether all pictures so far are one single colour."""

    def __init__(self) -> None:
        self.whole = True
        self._colour: NDArray[np.uint8] | None = None

    def add(self, image: NDArray[np.uint8]) -> None:
        if not self.whole:
            return
        coarse = image[::8, ::8]
        if self._colour is None:
            self._colour = coarse[0, 0].copy()
        self.whole = bool((coarse == self._colour).all())

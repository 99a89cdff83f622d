"""What is run: pictures from a clip, a camera, or put together from the sample clip's face."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import cv2
import numpy as np

from edge.assets import SAMPLE_CLIP, cache_folder, find_asset
from edge.capture.clip import Clip
from edge.capture.devices import open_capture
from edge.capture.latest_frame import NewestFrame
from edge.capture.protocol import CapturedImage, CaptureState
from edge.values import Frame, frozen
from emoshift.errors import CameraError, InputError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge.capture.protocol import Capture, CaptureDevice
    from edge.config import Config

SYNTHETIC: Final = "synthetic"
CAMERA: Final = "camera"
Pace = Literal["flat-out", "live"]
Landmarks = Literal["every", "due"]

# Where the sample clip's talking man is: his face is 45 to 55 pixels wide and stays well within.
_LEFT, _TOP, _WIDTH, _HEIGHT = 22, 5, 108, 125
_SCALE: Final = 3.0
"""Makes the face about 150 pixels wide, as of someone half a metre from the camera."""
_ROOM: Final = 0.92
"""Share of its place that a person fills at most; the rest is room to move."""
_FACE: Final = 49
"""Width of the man's face in the clip, pixels."""
_SWAY: Final = 0.4
"""How far a person moves to each side and back within three seconds, face widths. A seated pupil
does no more; flat out, where pictures follow one another as fast as they are read, much more would
outrun the detector on a busy machine, and its faces would be lost."""
_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 5.0


class FrameSource(Protocol):
    """Where the measured loop takes its frames from."""

    @property
    def dropped(self) -> int:
        """Frames so far that nobody was ready for."""
        ...

    def next_frame(self) -> Frame:
        """Return the next frame; its capture time is on the monotonic clock.

        Raises:
            InputError: The clip cannot be read.
            CameraError: No picture came in time.
        """
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asks for.

    Attributes:
        source: ``synthetic``, ``camera``, or the path of a clip.
        faces: Faces in a synthetic picture.
        pace: See `benchmarks.reports.schema.Workload`; ``None`` takes what suits the source.
        landmarks: ``every`` measures every face's landmarks in every frame; ``due`` leaves that to
            the daemon's own schedule. ``None`` takes the first for ``flat-out``, where frames
            would else cost next to nothing, and the second for ``live``.
        fps: Pictures a second of a live source.
        width_px, height_px: Size of a synthetic picture.
    """

    source: str = SYNTHETIC
    faces: int = 1
    pace: Pace | None = None
    landmarks: Landmarks | None = None
    fps: float = 30.0
    width_px: int = 640
    height_px: int = 480

    @property
    def settled_pace(self) -> Pace:
        """The pace in force."""
        return self.pace or ("live" if self.source == CAMERA else "flat-out")

    @property
    def settled_landmarks(self) -> Landmarks:
        """The schedule in force."""
        return self.landmarks or ("every" if self.settled_pace == "flat-out" else "due")


def open_source(request: Request, config: Config) -> FrameSource:
    """Open what is asked for.

    Raises:
        InputError: The clip is missing or cannot be decoded.
        UsageError: The wishes do not go together.
    """
    if request.source == CAMERA:
        if request.settled_pace == "flat-out":
            raise UsageError("--pace flat-out: a camera has its own pace; leave it out")
        return Live(open_capture(config.camera))
    pictures: Callable[[], CaptureDevice]
    if request.source == SYNTHETIC:
        pictures = partial(Synthetic, request)
    else:
        clip = Path(request.source)
        Clip(clip)  # says at once what is wrong with it
        pictures = partial(Looped, clip)
    if request.settled_pace == "flat-out":
        return FlatOut(pictures())
    return Live(NewestFrame(lambda: Paced(pictures(), request.fps), clock=time.monotonic))


def outbox_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder on the disk that holds the cache: events must cost what a disk costs.

    Raises:
        OutputError: It cannot be made.
    """
    parent = cache_folder().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=parent, prefix="bench-")
    except OSError as why:
        raise OutputError(f"{parent}: cannot be written: {why}; set EMOSHIFT_CACHE") from why


class FlatOut:
    """Takes each picture as soon as it is asked for."""

    dropped = 0

    def __init__(self, device: CaptureDevice) -> None:
        self._device = device
        self._seq = 0

    def next_frame(self) -> Frame:
        """Return the next picture, captured now."""
        picture = self._device.read()
        if picture is None:
            raise InputError("the source gives no more pictures")
        self._seq += 1
        return Frame(image=frozen(picture.image), seq=self._seq - 1, captured_s=time.monotonic())

    def close(self) -> None:
        """Let go of the pictures."""
        self._device.close()


class Live:
    """Takes the newest frame of a source that has its own pace."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced."""
        return self._capture.status().dropped

    def next_frame(self) -> Frame:
        """Wait for the newest frame; a source that is lost is not waited for."""
        deadline_s = time.monotonic() + _LONGEST_WAIT_S
        while (frame := self._capture.next_frame(_WAIT_S)) is None:
            status = self._capture.status()
            if status.state is CaptureState.ENDED:
                raise InputError(status.reason or "the source has ended")
            if status.state is CaptureState.LOST or time.monotonic() >= deadline_s:
                reason = status.reason or f"no picture in {_LONGEST_WAIT_S:g} s"
                raise CameraError(f"{reason}; see: edge doctor")
        return frame

    def close(self) -> None:
        """Stop the source."""
        self._capture.close()


class Paced:
    """Gives pictures at a steady rate, as a camera does; a late reader gets the next at once."""

    def __init__(self, device: CaptureDevice, fps: float) -> None:
        self._device = device
        self._gap_s = 1 / fps
        self._due_s = time.monotonic()

    @property
    def mode(self) -> str:
        """What the pictures are, and how many a second."""
        return f"{self._device.mode}, {1 / self._gap_s:.4g} frames a second"

    def read(self) -> CapturedImage | None:
        """Wait until the next picture is due."""
        picture = self._device.read()
        self._due_s = max(self._due_s + self._gap_s, time.monotonic() - self._gap_s)
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        return picture

    def close(self) -> None:
        """Let go of the pictures."""
        self._device.close()


class Looped:
    """A clip played over and over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: Iterator[Frame] = Clip(path).frames()

    @property
    def mode(self) -> str:
        """Which file it is."""
        return self._path.name

    def read(self) -> CapturedImage | None:
        """Return the next picture; after the last one the first."""
        frame = next(self._frames, None)
        if frame is None:
            self._frames = Clip(self._path).frames()
            frame = next(self._frames)
        return CapturedImage(image=frame.image)

    def close(self) -> None:
        """Nothing is held open for long."""


class Synthetic:
    """The sample clip's man as often as asked for, each talking and moving in his own place.

    Pictures are put together one at a time, so that hardly any memory is held; the same request
    gives the same pictures.

    Raises:
        InputError: The sample clip has not been fetched.
        UsageError: The faces would be too small to be found.
    """

    def __init__(self, request: Request) -> None:
        clip = find_asset(SAMPLE_CLIP)
        if clip is None:
            raise InputError(f"{SAMPLE_CLIP.name} is missing; run: edge assets fetch --all")
        self._people = [
            frame.image[_TOP : _TOP + _HEIGHT, _LEFT : _LEFT + _WIDTH].copy()
            for frame in Clip(clip).frames()
        ]
        width, height = request.width_px, request.height_px
        self._places, scale = places(request.faces, width, height)
        self._size = (round(_WIDTH * scale), round(_HEIGHT * scale))
        self._wall = _wall(width, height)
        self._number = 0

    @property
    def mode(self) -> str:
        """Size of the pictures."""
        return f"{self._wall.shape[1]}x{self._wall.shape[0]}"

    def read(self) -> CapturedImage | None:
        """Put the next picture together."""
        picture = self._wall.copy()
        wide, high = self._size
        for index, (x, y, room_x, room_y) in enumerate(self._places):
            person = self._person(self._number + 15 * index)
            turn = 2 * math.pi * (self._number / 90 + index / 7)
            left = x + round(room_x * (0.5 + 0.5 * math.sin(turn)))
            top = y + round(room_y * (0.5 + 0.5 * math.cos(turn)))
            cv2.resize(
                person,
                (wide, high),
                dst=picture[top : top + high, left : left + wide],
                interpolation=cv2.INTER_LINEAR,
            )
        self._number += 1
        return CapturedImage(image=picture)

    def skip(self, pictures: int) -> None:
        """Pass over pictures that nobody takes."""
        self._number += pictures

    def _person(self, number: int) -> NDArray[np.uint8]:
        """There and back again, so that nothing ever jumps."""
        there = len(self._people) - 1
        number %= 2 * there
        return self._people[number if number <= there else 2 * there - number]

    def close(self) -> None:
        """Nothing is held open."""


def places(faces: int, width: int, height: int) -> tuple[list[tuple[int, int, int, int]], float]:
    """Divide a picture into equal places for some people.

    Returns:
        For each the left and upper edge and the room to move, pixels; and the scale of a person.

    Raises:
        UsageError: There is no face, or they would be smaller than 20 pixels.
    """
    if faces < 1:
        raise UsageError(f"--faces {faces}: expected 1 or more")
    best, columns = 0.0, 1
    for wide in range(1, faces + 1):
        high = -(-faces // wide)
        scale = min(width / wide / _WIDTH, height / high / _HEIGHT)
        if scale > best:
            best, columns = scale, wide
    rows = -(-faces // columns)
    scale = min(_SCALE, best * _ROOM)
    if scale * _FACE < 20:
        raise UsageError(
            f"--faces {faces}: they would be smaller than 20 pixels; give a larger --size"
        )
    place_w, place_h = width / columns, height / rows
    free_x, free_y = int(place_w - _WIDTH * scale) - 1, int(place_h - _HEIGHT * scale) - 1
    sway = int(_SWAY * _FACE * scale)
    room_x, room_y = min(free_x, sway), min(free_y, sway)
    found = []
    for index in range(faces):
        row, column = divmod(index, columns)
        left = int(column * place_w) + (free_x - room_x) // 2
        top = int(row * place_h) + (free_y - room_y) // 2
        found.append((left, top, room_x, room_y))
    return found, scale


def _wall(width: int, height: int) -> NDArray[np.uint8]:
    """A calm background with some texture."""
    coarse = np.random.default_rng(0).integers(90, 150, (height // 32, width // 32, 3), np.uint8)
    wall: NDArray[np.uint8] = np.asarray(
        cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8
    )
    return wall

"""GStreamer pipelines (Jetson CSI cameras) through the system's ``gst-launch-1.0``.

A process of its own: it works with every Python, needs no OpenCV built for it, and a crash or a
hang of a vendor's plug-in does not take the daemon along (docs/adr/0041-gstreamer-by-its-own-
process.md). Pictures come back as YUV4MPEG2 over a pipe.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from typing import IO, TYPE_CHECKING, Final

import cv2
import numpy as np

from edge.capture.protocol import CapturedImage
from emoshift.credentials import mask_credentials
from emoshift.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND: Final = "gst-launch-1.0"
MISSING: Final = (
    f"{COMMAND} is not installed; run: sudo apt install gstreamer1.0-tools"
    " gstreamer1.0-plugins-base gstreamer1.0-plugins-good (a Jetson has them)"
)
FIRST_PICTURE_S: Final = 20.0
"""A camera's processor may take some seconds to start."""
NEXT_PICTURE_S: Final = 5.0

_TAIL: Final = (
    "queue leaky=downstream max-size-buffers=2 ! decodebin ! videoconvert"
    " ! video/x-raw,format=I420 ! y4menc ! fdsink fd=1"
)
_APPSINK: Final = re.compile(r"!\s*appsink\b[^!]*$")
_LARGEST_PX: Final = 7680 * 4320


class GStreamer:
    """A pipeline, without its sink (an ``appsink`` at its end is taken away).

    Raises:
        CameraError: GStreamer is not installed, or the pipeline does not start.
    """

    def __init__(self, pipeline: str) -> None:
        program = shutil.which(COMMAND)
        if program is None:
            raise CameraError(MISSING)
        command = [program, "--quiet", *_elements(pipeline)]
        self._pipeline = mask_credentials(pipeline)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError as why:
            self._errors.close()
            raise CameraError(f"{program}: cannot be started: {why.strerror}") from why
        assert self._process.stdout is not None
        self._pipe = self._process.stdout
        self._buffer = bytearray()
        try:
            self._width, self._height, rate = self._header()
        except CameraError:
            self.close()
            raise
        self._mode = f"{self._width}x{self._height} I420 by GStreamer{rate}"

    @property
    def mode(self) -> str:
        """Size and rate that the pipeline gives."""
        return self._mode

    def read(self) -> CapturedImage | None:
        """Wait for the next picture.

        Raises:
            CameraError: The pipeline ended or gives nothing.
        """
        line = self._line(NEXT_PICTURE_S)
        if not line.startswith(b"FRAME"):
            raise CameraError(self._broken("its output is not understood"))
        rows = self._height * 3 // 2  # the two colour planes are half as wide and half as high
        data = self._exactly(rows * self._width, NEXT_PICTURE_S)
        planes = np.frombuffer(data, dtype=np.uint8).reshape(rows, self._width)
        return CapturedImage(
            image=np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), np.uint8)
        )

    def close(self) -> None:
        """End the process; one that does not obey is killed."""
        self._pipe.close()
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                continue
        self._errors.close()

    def _header(self) -> tuple[int, int, str]:
        words = self._line(FIRST_PICTURE_S).split()
        if not words or words[0] != b"YUV4MPEG2":
            raise CameraError(self._broken("its output is not understood"))
        values = {chr(word[0]): word[1:].decode("ascii", "replace") for word in words[1:] if word}
        try:
            width, height = int(values["W"]), int(values["H"])
            first, second = (int(part) for part in values.get("F", "0:1").split(":"))
        except (KeyError, ValueError):
            raise CameraError(self._broken("its output is not understood")) from None
        if width % 2 or height % 2 or not 0 < width * height <= _LARGEST_PX:
            raise CameraError(
                f"gstreamer:{self._pipeline}: pictures of {width}x{height} cannot be taken; add"
                " '! videoscale ! video/x-raw,width=1280,height=720' to the pipeline"
            )
        rate = f", {first / second:.4g} frames a second" if first and second else ""
        return width, height, rate

    def _line(self, timeout_s: float) -> bytes:
        until_s = time.monotonic() + timeout_s
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > 1000:
                raise CameraError(self._broken("its output is not understood"))
            self._fill(until_s)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _exactly(self, size: int, timeout_s: float) -> bytes:
        until_s = time.monotonic() + timeout_s
        while len(self._buffer) < size:
            self._fill(until_s)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _fill(self, until_s: float) -> None:
        left_s = max(0.0, until_s - time.monotonic())
        if not select.select([self._pipe], [], [], left_s)[0]:
            raise CameraError(self._broken("no picture in time"))
        piece = os.read(self._pipe.fileno(), 1 << 20)
        if not piece:
            raise CameraError(self._broken("no picture: the pipeline ended"))
        self._buffer += piece

    def _broken(self, otherwise: str) -> str:
        """Say what GStreamer said, or else what was seen."""
        return f"gstreamer:{self._pipeline}: {_first_error(self._errors) or otherwise}"


def _elements(pipeline: str) -> Sequence[str]:
    source = _APPSINK.sub("", pipeline.strip()).rstrip().rstrip("!").rstrip()
    try:
        return [*shlex.split(source), "!", *_TAIL.split()]
    except ValueError as why:
        raise CameraError(
            f"gstreamer:{mask_credentials(pipeline)}: cannot be read: {why}; close every quote"
        ) from None


def _first_error(errors: IO[bytes]) -> str:
    """What GStreamer complained of first, in one line, without the names of its objects."""
    errors.seek(0)
    lines = errors.read(20_000).decode("utf-8", "replace").splitlines()
    for line in lines:
        text = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
        if (
            found := re.match(r"(?:WARNING: )?(?:ERROR|erroneous pipeline)[^:]*: ?(.*)", text)
        ) and (said := found[1]):
            said = re.sub(r"^(?:from element|pipeline could not be constructed:) ?", "", said)
            said = re.sub(r"^/\S+/(\S+?): ", r"\1: ", said)
            return mask_credentials(said.rstrip("."))
    return ""

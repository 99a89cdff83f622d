"""The process with the camera of ``edge aim``: no network, and only numbers come out of it.

The configuration comes as one line of JSON on standard input. After it, one byte asks for outlines
(`ASK_OUTLINE`) for `OUTLINE_S` seconds, another ends them (`END_OUTLINE`); the end of the input
ends the process. To standard output go the messages of `edge.aim.report`, nothing else.

As the daemon's vision process it gives up the network before anything but the standard library is
imported, and started by root it goes on as the service's user.
"""

from __future__ import annotations

import json
import logging
import math
import os
import select
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from edge.aim.report import (
    CELLS_ACROSS,
    CELLS_DOWN,
    MOST_FACES,
    OUTLINE_S,
    FaceShape,
    Report,
)
from edge.commands.service import become_service_user, has_service_user
from edge.daemon.isolation import (
    Isolation,
    die_with_parent,
    isolate,
    needs_local_sockets,
    needs_network,
    seal_memory,
)
from emoshift.errors import EmoshiftError
from emoshift.logs import set_up_logs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.aim.outline import OutlineDelay
    from edge.config import Config
    from edge.values import Face, Frame

log = logging.getLogger("edge.aim.vision")  # also when run as a module

ASK_OUTLINE: Final = b"o"
END_OUTLINE: Final = b"e"

_WAIT_S: Final = 0.2
_REPORT_EVERY_S: Final = 0.2
_OUTLINE_EVERY_S: Final = 0.5
_QUALITY_EVERY_S: Final = 0.5
_RATE_OVER_S: Final = 3.0
_SEEN_FOR_S: Final = 60.0
_SMALLEST_PX: Final = 8
"""Faces are shown down to this width, less than the device uses: to say they are too small."""


class ShapeReporter:
    """Counts faces, frames and cells, and writes the messages."""

    def __init__(self) -> None:
        self._quality = (0, 0)
        self._quality_s = self._report_s = float("-inf")
        self._taken_s: deque[float] = deque(maxlen=1000)
        self._seen: deque[tuple[float, frozenset[int]]] = deque()
        self._outline_s = float("-inf")
        self._outlines_until_s = float("-inf")
        self._searched_s = float("-inf")
        self.outlines: OutlineDelay | None = None

    def ask_outline(self, now_s: float) -> None:
        """Show outlines from now on; asking again while they are shown does not prolong it."""
        from edge.aim.outline import OutlineDelay

        if now_s >= self._outlines_until_s:
            self._outlines_until_s = now_s + OUTLINE_S
            self.outlines = OutlineDelay()

    def end_outline(self) -> None:
        """Show no outline any more."""
        self._outlines_until_s = float("-inf")
        self.outlines = None

    def look(self, frame: Frame, faces: tuple[Face, ...], *, searched: bool) -> bytes:
        """Take in one frame; returns what is to be written, which may be nothing."""
        from edge.health.image_quality import measure_image_quality

        now_s = frame.captured_s
        self._taken_s.append(now_s)
        if searched:
            self._searched_s = now_s
        if now_s - self._quality_s >= _QUALITY_EVERY_S:
            self._quality_s = now_s
            quality = measure_image_quality(frame.image)
            self._quality = (round(100 * quality.brightness), round(quality.sharpness))
        size = (frame.width_px, frame.height_px)
        written = b""
        if now_s - self._report_s >= _REPORT_EVERY_S:
            self._report_s = now_s
            self._note_cells(faces, size, now_s)
            written = self._report(faces, size, now_s).encode()
        if self.outlines is not None:
            written += self._outline(self.outlines, frame, faces)
        return written

    def _report(self, faces: tuple[Face, ...], size: tuple[int, int], now_s: float) -> Report:
        recent = [at_s for at_s in self._taken_s if at_s > now_s - _RATE_OVER_S]
        took_s = now_s - recent[0]
        looks = len(self._seen)
        cells = [0] * (CELLS_ACROSS * CELLS_DOWN)
        for _, seen in self._seen:
            for cell in seen:
                cells[cell] += 1
        brightness, sharpness = self._quality
        return Report(
            state="running",
            width=size[0],
            height=size[1],
            brightness=brightness,
            sharpness=sharpness,
            fps=(len(recent) - 1) / took_s if took_s > 0 else 0.0,
            searched=self._searched_s > float("-inf"),
            outline_s=self._left_s(now_s),
            faces=tuple(shape_of(face) for face in faces[:MOST_FACES]),
            seen=tuple(round(100 * count / looks) for count in cells),
        )

    def _note_cells(self, faces: Iterable[Face], size: tuple[int, int], now_s: float) -> None:
        cells = set()
        for face in faces:
            x, y = face.box.centre
            column = min(max(int(CELLS_ACROSS * x / size[0]), 0), CELLS_ACROSS - 1)
            row = min(max(int(CELLS_DOWN * y / size[1]), 0), CELLS_DOWN - 1)
            cells.add(row * CELLS_ACROSS + column)
        self._seen.append((now_s, frozenset(cells)))
        while self._seen[0][0] < now_s - _SEEN_FOR_S:
            self._seen.popleft()

    def _left_s(self, now_s: float) -> int:
        return math.ceil(min(max(self._outlines_until_s - now_s, 0.0), OUTLINE_S))

    def _outline(self, outlines: OutlineDelay, frame: Frame, faces: tuple[Face, ...]) -> bytes:
        from edge.aim.outline import DELAY_S

        now_s = frame.captured_s
        if now_s >= self._outlines_until_s:
            self.end_outline()
            return b""
        outlines.add_faces(
            (face.box for face in faces), at_s=now_s, size=(frame.width_px, frame.height_px)
        )
        if now_s - self._searched_s > DELAY_S:
            outlines.clear()  # nobody has looked for faces: nothing may go out
            return b""
        if now_s - self._outline_s < _OUTLINE_EVERY_S:
            return b""
        self._outline_s = now_s
        outlines.add_picture(frame.image, at_s=now_s)
        outline = outlines.take(now_s=now_s, seconds_left=self._left_s(now_s))
        return b"" if outline is None else outline.encode()


def shape_of(face: Face) -> FaceShape:
    """Return a face's box in whole pixels, within what a message can hold."""
    most = 0x7FFF
    x, y = round(face.box.x), round(face.box.y)
    return FaceShape(
        number=face.track,
        x=max(-most, min(most, x)),
        y=max(-most, min(most, y)),
        width=max(0, min(most, round(face.box.width))),
        height=max(0, min(most, round(face.box.height))),
        score=max(0, min(100, round(100 * face.score))),
    )


def main() -> int:
    """Watch until the input ends, the clip ends or the camera cannot be used."""
    set_up_logs(logging.WARNING)
    line = sys.stdin.buffer.readline()
    settings = json.loads(line)
    # What libraries print must not come between the messages.
    pipe = os.dup(1)
    os.dup2(2, 1)
    try:
        _isolate(str(settings["camera"]["source"]))
        die_with_parent(os.getppid(), signal.SIGKILL)
        seal_memory()
        from edge.config import parse_config

        _watch(parse_config(settings, where="standard input"), pipe)
    except EmoshiftError as why:
        log.error("%s", why)
        return why.exit_code
    except BrokenPipeError:
        pass  # whoever looked is gone
    return 0


def _isolate(source: str) -> None:
    if needs_network(source):
        log.warning("the camera is a network stream, so this process keeps the network")
    elif isolate(local_sockets=needs_local_sockets(source)) is Isolation.NONE:
        log.warning("this system refuses to take the network from the process with the camera")
    if has_service_user():
        become_service_user()


def _watch(config: Config, pipe: int) -> None:
    from edge.assets import LANDMARKER, find_asset, find_detector
    from edge.capture.devices import open_capture
    from edge.capture.protocol import CaptureState
    from edge.faces.select_backend import open_faces
    from emoshift.errors import CameraError, InputError

    landmarker = find_asset(LANDMARKER)
    if landmarker is None:
        raise InputError(f"{LANDMARKER.name} is missing; run: edge assets fetch")
    aim = ShapeReporter()
    faces = config.faces.model_copy(update={"min_width_px": _SMALLEST_PX, "backend": "direct"})
    with open_faces(
        faces,
        landmarker=landmarker,
        detector=find_detector(),
        threads=config.models.thread_count(),
    ) as finder:
        capture = open_capture(config.camera)
        told_s = float("-inf")
        try:
            while _obey(aim):
                frame = capture.next_frame(_WAIT_S)
                if frame is not None:
                    found = finder.find(frame)
                    searched = "detector_round" in finder.report.stages_s
                    _write(pipe, aim.look(frame, found, searched=searched))
                    continue
                status = capture.status()
                if status.state is CaptureState.ENDED:
                    if status.reason:
                        raise InputError(status.reason)
                    _write(pipe, Report(state="ended").encode())
                    return
                if status.state is not CaptureState.RUNNING and time.monotonic() - told_s > 1:
                    told_s = time.monotonic()
                    _write(pipe, Report(state=status.state.value).encode())
                    if status.state is CaptureState.LOST and not status.frames:
                        raise CameraError(status.reason)
        finally:
            capture.close()


def _obey(aim: ShapeReporter) -> bool:
    """Do what came on standard input; false when nobody is there any more."""
    while select.select([0], [], [], 0)[0]:
        asked = os.read(0, 1)
        if not asked:
            return False
        if asked == ASK_OUTLINE:
            aim.ask_outline(time.monotonic())
        elif asked == END_OUTLINE:
            aim.end_outline()
    return True


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


if __name__ == "__main__":
    sys.exit(main())

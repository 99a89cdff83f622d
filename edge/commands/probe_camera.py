"""Opens a camera once, looks at its picture, and says in numbers what it gives.

A process of its own, without a network like the daemon's: it sees a picture, and a driver that
crashes or hangs takes only this process along. The camera's settings come as JSON on standard
input; one JSON object goes to standard output, and the exit code says whether it is a fault.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from edge.daemon.isolation import isolate, needs_local_sockets, needs_network
from emoshift.credentials import mask_credentials
from emoshift.errors import CameraError, EmoshiftError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.protocol import CaptureDevice
    from edge.config import Camera
    from edge.values import Frame

LONGEST_S: Final = 45.0
_PATIENCE_S: Final = 5.0
_LOOK_S: Final = 1.5
"""How long frames are looked at: cameras adjust to the light, and faces are found by and by."""
_MOST_FRAMES: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a camera gave.

    Attributes:
        good: Whether it gives pictures.
        detail: The source with the mode that was agreed on, or why there is no picture; one line.
        brightness: Mean grey level of the last picture, 0 to 1; ``None`` without one.
        sharpness: Of the same (`edge.health.image_quality`).
        faces: The most faces seen in one picture; ``None`` where the face models are missing.
    """

    good: bool
    detail: str
    brightness: float | None = None
    sharpness: float | None = None
    faces: int | None = None

    def __str__(self) -> str:
        """Write it for a technician."""
        parts = [self.detail]
        if self.brightness is not None:
            parts.append(f"brightness {100 * self.brightness:.0f} %")
        if self.sharpness is not None:
            parts.append(f"sharpness {self.sharpness:.0f}")
        if self.faces is not None:
            parts.append("1 face" if self.faces == 1 else f"{self.faces} faces")
        return ", ".join(parts)


def probe_camera(camera: Camera) -> Probe:
    """Open the camera in another process, and return what it gave."""
    command = [sys.executable, "-m", "edge.commands.probe_camera"]
    source = mask_credentials(camera.source)
    try:
        done = subprocess.run(
            command,
            input=camera.model_dump_json(),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(
            good=False,
            detail=f"{source}: hangs, no answer in {LONGEST_S:g} s; unplug it and plug it in",
        )
    try:
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        why = f"the driver or decoder crashed (exit {done.returncode})"
        return Probe(good=False, detail=f"{source}: {why}")
    return Probe(**{**said, "detail": mask_credentials(said["detail"])})


def main() -> int:
    """Read the settings, open the camera, say what it gives."""
    settings = json.load(sys.stdin)
    source = str(settings.get("source", ""))
    # What libraries print must not come between.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if not needs_network(source):
        isolate(local_sockets=needs_local_sockets(source))
    # Only now: whatever these import starts its life without a network.
    from edge.config import Camera

    camera, code = Camera.model_validate(settings), 0
    try:
        probe = _probe(camera)
    except EmoshiftError as why:
        probe, code = Probe(good=False, detail=" ".join(str(why).split())), why.exit_code
    with out:
        json.dump(asdict(probe), out)
    return code


def _probe(camera: Camera) -> Probe:
    from edge.capture.devices import is_clip, open_clip, open_device
    from edge.capture.pictures import turned

    if is_clip(camera.source):
        clip = open_clip(camera)
        return _probe_frames(f"{camera.source}: {clip.mode}", clip.frames())
    device = open_device(camera)
    try:
        frames = _frames(device, lambda image: turned(image, camera.rotate))
        return _probe_frames(f"{camera.source}: {device.mode}", frames)
    finally:
        device.close()


def _frames(
    device: CaptureDevice, turn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> Iterator[Frame]:
    """Yield frames for as long as is looked; a camera that opens and gives none is found out."""
    from edge.capture.pictures import as_bgr
    from edge.values import Frame, frozen

    until_s = time.monotonic() + _PATIENCE_S
    seq = 0
    while (now_s := time.monotonic()) < until_s:
        try:
            picture = device.read()
        except CameraError:
            if seq:
                return  # it gave pictures, which is what was asked
            raise
        if picture is None:
            continue
        if not seq:
            until_s = time.monotonic() + _LOOK_S
        yield Frame(image=frozen(turn(as_bgr(picture.image))), seq=seq, captured_s=now_s)
        seq += 1
    if not seq:
        raise CameraError(f"{device.mode}, but no picture in {_PATIENCE_S:g} s")


def _probe_frames(detail: str, frames: Iterable[Frame]) -> Probe:
    """Measure the last of some frames, and count faces in all of them."""
    from edge.assets import LANDMARKER, find_asset, find_detector
    from edge.config import Faces
    from edge.faces.select_backend import open_faces
    from edge.health.image_quality import measure_image_quality

    last, faces = None, None
    with ExitStack() as stack:
        finder = None
        if (landmarker := find_asset(LANDMARKER)) is not None:
            finder = stack.enter_context(
                open_faces(
                    Faces(backend="direct"),
                    landmarker=landmarker,
                    detector=find_detector(),
                    background=False,
                )
            )
        for last in islice(frames, _MOST_FRAMES):
            if finder is not None:
                faces = max(faces or 0, len(finder.find(last)))
    if last is None:
        return Probe(good=False, detail=f"{detail}, but no picture")
    quality = measure_image_quality(last.image)
    return Probe(
        good=True,
        detail=detail,
        brightness=round(quality.brightness, 3),
        sharpness=round(quality.sharpness, 1),
        faces=faces,
    )


if __name__ == "__main__":
    sys.exit(main())

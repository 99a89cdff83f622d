"""Opens the configured camera once and says what it gives.

A process of its own, without a network like the daemon's: it sees a picture, and a driver that
crashes or hangs takes only this process along. The camera's settings come as JSON on standard
input; one line goes to standard output, and the exit code says whether it is a fault.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from edge.daemon.isolation import isolate, needs_local_sockets, needs_network
from emoshift.credentials import mask_credentials
from emoshift.errors import CameraError, EmoshiftError

if TYPE_CHECKING:
    from edge.capture.protocol import CaptureDevice
    from edge.config import Camera

LONGEST_S: Final = 45.0
_PATIENCE_S: Final = 5.0


def probe_camera(camera: Camera) -> tuple[bool, str]:
    """Open the camera in another process; return whether it gives pictures, and what it said."""
    command = [sys.executable, "-m", "edge.commands.probe_camera"]
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
        source = mask_credentials(camera.source)
        return False, f"{source}: hangs, no answer in {LONGEST_S:g} s; unplug it and plug it in"
    said = done.stdout.strip().splitlines()
    if not said:
        why = f"the driver or decoder crashed (exit {done.returncode})"
        return False, f"{mask_credentials(camera.source)}: {why}"
    return done.returncode == 0, mask_credentials(said[-1])


def main() -> int:
    """Read the settings, open the camera, say what it gives."""
    settings = json.load(sys.stdin)
    source = str(settings.get("source", ""))
    if not needs_network(source):
        isolate(local_sockets=needs_local_sockets(source))
    # Only now: whatever these import starts its life without a network.
    from edge.capture.devices import is_clip, open_clip, open_device
    from edge.config import Camera

    camera = Camera.model_validate(settings)
    try:
        if is_clip(camera.source):
            said = open_clip(camera).mode
        else:
            device = open_device(camera)
            try:
                said = _await_picture(device)
            finally:
                device.close()
    except EmoshiftError as why:
        sys.stdout.write(f"{why}\n")
        return why.exit_code
    sys.stdout.write(f"{camera.source}: {said}\n")
    return 0


def _await_picture(device: CaptureDevice) -> str:
    """Wait for one picture, so that a camera that opens and gives none is found out."""
    until_s = time.monotonic() + _PATIENCE_S
    while device.read() is None:
        if time.monotonic() > until_s:
            raise CameraError(f"{device.mode}, but no picture in {_PATIENCE_S:g} s")
    return device.mode


if __name__ == "__main__":
    sys.exit(main())

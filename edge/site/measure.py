"""Sees the pictures of a calibration, without a network: ``python -m edge.site.measure``.

The configuration comes as JSON on standard input; one line for each face and frame goes to
standard output, as `edge.site.channels.Row` writes it. Like the vision process it gives up the
network before anything but the standard library is imported.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from edge.commands.service import become_service_user
from edge.daemon.isolation import (
    die_with_parent,
    isolate,
    needs_local_sockets,
    needs_network,
    seal_memory,
)
from emoshift.errors import CameraError, EmoshiftError
from emoshift.logs import set_up_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from edge.config import Config
    from edge.pipeline import Step

log = logging.getLogger("edge.site.measure")


def main() -> int:
    """Measure until told to stop, or until the clip has ended; returns the exit code."""
    set_up_logs(logging.INFO)
    try:
        given = json.load(sys.stdin)
        source = str(given["config"].get("camera", {}).get("source", ""))
        if given["as_service"]:
            become_service_user()
        if not needs_network(source):
            isolate(local_sockets=needs_local_sockets(source))
        die_with_parent(int(given["parent"]), signal.SIGKILL)
        seal_memory()
        _measure(given["config"])
    except EmoshiftError as why:
        log.error("%s", why)
        return why.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _measure(data: dict[str, Any]) -> None:
    # Only now: whatever these import starts its life without a network.
    from edge.config import parse_config
    from edge.site.channels import rows_of

    for step in _steps(parse_config(data, where="standard input")):
        for row in rows_of(step):
            sys.stdout.write(json.dumps(row.to_json(), separators=(",", ":")) + "\n")
        sys.stdout.flush()


def _steps(config: Config) -> Iterator[Step]:
    from edge.capture.devices import is_clip, open_capture, open_clip
    from edge.capture.protocol import CaptureState
    from edge.pipeline import open_pipeline, replay

    if is_clip(config.camera.source):
        yield from replay(open_clip(config.camera), config)
        return
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    with open_pipeline(config) as pipeline:
        capture = open_capture(config.camera)
        try:
            while not stopped:
                frame = capture.next_frame(0.5)
                if frame is not None:
                    yield pipeline.step(frame)
                elif capture.status().state in {CaptureState.LOST, CaptureState.ENDED}:
                    raise CameraError(
                        f"{capture.status().reason}; if the service has the camera, stop it first:"
                        " systemctl stop emoshift-vision"
                    )
        finally:
            capture.close()


if __name__ == "__main__":
    sys.exit(main())

"""The vision process: frames from the camera, decided changes into the outbox; no network.

It publishes what it is (``info``), how the class feels (``class``) and how it is doing (``health``)
through the outbox too; the publisher passes these on.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from edge.bundle.installed import configured_bundle
from edge.capture.devices import open_capture
from edge.capture.protocol import CaptureState
from edge.daemon.event_store import EventStoreProcess
from edge.health.reporter import HealthReporter
from edge.outbox.event import EventSource, describe_change
from edge.pipeline import open_pipeline
from emoshift.clock import read_clock
from emoshift.errors import CameraError, InputError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge.capture.protocol import CaptureStatus
    from edge.config import Config
    from edge.daemon.event_store import EventStore
    from edge.pipeline import Pipeline, Step
    from edge.values import Frame

log = logging.getLogger(__name__)

WAIT_S: Final = 0.5
"""Longest wait for a frame before the loop looks after other things."""
STUCK_S: Final = 20.0
"""A camera that neither fails nor gives a picture for this long needs a new process."""


def run_vision(
    config: Config,
    *,
    stop: threading.Event,
    isolation: str,
    on_progress: Callable[[CaptureStatus], None] = lambda _: None,
) -> None:
    """Watch until told to stop, or until a clip given as the source has ended.

    Args:
        config: The whole configuration; ``device.name`` is settled.
        stop: Set to end cleanly.
        isolation: What keeps this process off the network, for ``/info``.
        on_progress: Called on every turn of the loop with the state of the camera (for a watchdog).

    Raises:
        BundleError: The model bundle cannot be trusted.
        InputError: The clip, or a model file, cannot be read.
        UnavailableError: No face back end can run here.
        OutboxError: The outbox cannot be opened.
        CameraError: The camera hangs, so that only a new process can open it again.
    """
    bundle = configured_bundle(config.models)
    for warning in bundle.warnings:
        log.warning("%s", warning)
    with (
        EventStoreProcess(config.outbox) as outbox,
        open_pipeline(config, bundle, live=True) as pipeline,
    ):
        log.info("faces by %s (%s)", pipeline.finder.name, pipeline.finder.reason)
        capture = open_capture(config.camera)
        try:
            reporter = HealthReporter(config, bundle, pipeline, outbox, capture)
            reporter.publish_info(isolation)
            source = EventSource(
                device=config.device.name,
                camera=config.camera.name,
                model=bundle.name,
            )
            events = outbox if config.privacy.single_faces else None
            while not stop.is_set():
                frame = capture.next_frame(WAIT_S)
                if frame is not None:
                    reporter.record(process_frame(frame, pipeline, events, source))
                elif capture.status().state is CaptureState.ENDED:
                    break
                else:
                    outbox.flush()  # what the disk refused before
                    if reporter.silent_s() > max(STUCK_S, 3 / config.camera.fps):
                        raise CameraError(
                            f"the camera hangs: no picture for {STUCK_S:g} s and no failure;"
                            " a new process opens it again"
                        )
                reporter.publish_due()
                on_progress(capture.status())
            reporter.publish_due(force=True)
            status = capture.status()
            if status.state is CaptureState.ENDED and status.reason:
                raise InputError(status.reason)
        finally:
            capture.close()


def process_frame(
    frame: Frame, pipeline: Pipeline, outbox: EventStore | None, source: EventSource
) -> Step:
    """Take one frame from the camera to the outbox; its capture time is on the monotonic clock.

    Without an outbox no single change is written anywhere.
    """
    taken_s = time.monotonic()
    step = pipeline.step(frame)
    if step.transitions and outbox is not None:
        decided_s = time.monotonic()
        clock = read_clock()
        outbox.append(
            [
                describe_change(
                    transition,
                    source=source,
                    clock=clock,
                    latency_s=clock.monotonic_s - transition.decided_s,
                )
                for transition in step.transitions
            ]
        )
        pipeline.times.add("outbox", time.monotonic() - decided_s)
    pipeline.times.add("wait", taken_s - frame.captured_s)
    pipeline.times.add("total", time.monotonic() - frame.captured_s)
    return step

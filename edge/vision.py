"""The vision process: frames from the camera, decided changes into the outbox; no network.

It tells what it is (``info``), how the class feels (``class``) and how it is doing (``health``)
through the outbox too; the publisher passes these on.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from edge import __version__
from edge.board import read_condition
from edge.capture.devices import open_capture
from edge.capture.protocol import CaptureState
from edge.clock import date_of, read_clock
from edge.errors import InputError
from edge.events import Source, describe_change
from edge.governor import Governor, Load
from edge.messages import Health, Info, summarise_class
from edge.models.library import configured_bundle
from edge.outbox import Limits, Outbox
from edge.pipeline import open_pipeline
from edge.timing import RecentLatency

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edge.capture.protocol import Capture, CaptureStatus
    from edge.config import Config
    from edge.models.bundle import Bundle
    from edge.pipeline import Pipeline, Step
    from edge.values import Emotion, Frame

log = logging.getLogger(__name__)

WAIT_S: Final = 0.5
"""Longest wait for a frame before the loop looks after other things."""
_SUMMARY_EVERY_S: Final = 1.0
_AGES: Final = 1000
_STATES: Final = {
    CaptureState.OPENING: "waiting",
    CaptureState.RUNNING: "streaming",
    CaptureState.LOST: "lost",
    CaptureState.ENDED: "lost",
}


def run_vision(
    config: Config,
    *,
    stop: threading.Event,
    isolation: str,
    alive: Callable[[CaptureStatus], None] = lambda _: None,
) -> None:
    """Watch until told to stop, or until a clip given as the source has ended.

    Args:
        config: The whole configuration; ``device.name`` is settled.
        stop: Set to end cleanly.
        isolation: What keeps this process off the network, for ``/info``.
        alive: Called on every turn of the loop with the state of the camera (for a watchdog).

    Raises:
        BundleError: The model bundle cannot be trusted.
        InputError: The clip, or a model file, cannot be read.
        UnavailableError: No face back end can run here.
        OutboxError: The outbox cannot be opened.
    """
    bundle = configured_bundle(config.models)
    for warning in bundle.warnings:
        log.warning("%s", warning)
    limits = Limits(
        max_bytes=int(config.outbox.max_mb * 1e6), max_age_s=config.outbox.max_age_days * 86400
    )
    with (
        Outbox.open(config.outbox.path, limits, writer=True) as outbox,
        open_pipeline(config, bundle) as pipeline,
    ):
        log.info("faces by %s (%s)", pipeline.finder.name, pipeline.finder.reason)
        capture = open_capture(config.camera)
        try:
            report = _Report(config, bundle, pipeline, outbox, capture)
            report.tell_info(isolation)
            source = Source(
                device=config.device.name,
                camera=config.camera.name,
                model=bundle.manifest.bundle_id,
            )
            while not stop.is_set():
                frame = capture.next_frame(WAIT_S)
                if frame is not None:
                    report.count(process_frame(frame, pipeline, outbox, source))
                elif capture.status().state is CaptureState.ENDED:
                    break
                else:
                    outbox.put()  # what the disk refused before
                report.tell()
                alive(capture.status())
            report.tell(force=True)
            status = capture.status()
            if status.state is CaptureState.ENDED and status.reason:
                raise InputError(status.reason)
        finally:
            capture.close()


def process_frame(frame: Frame, pipeline: Pipeline, outbox: Outbox, source: Source) -> Step:
    """Take one frame from the camera to the outbox; its capture time is on the monotonic clock."""
    taken_s = time.monotonic()
    step = pipeline.step(frame)
    if step.transitions:
        decided_s = time.monotonic()
        clock = read_clock()
        outbox.put(
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


class _Report:
    """Keeps count, lets the governor act, and writes the snapshots the publisher passes on."""

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        pipeline: Pipeline,
        outbox: Outbox,
        capture: Capture,
    ) -> None:
        self._config = config
        self._bundle = bundle
        self._pipeline = pipeline
        self._outbox = outbox
        self._capture = capture
        self._governor = Governor()
        self._latency = RecentLatency()
        self._frames = self._faces = self._too_small = 0
        self._ages_s: deque[float] = deque(maxlen=_AGES)
        self._frames_told = 0
        self._health_s = self._summary_s = time.monotonic()
        self._states: Counter[Emotion | None] | None = None

    def tell_info(self, isolation: str) -> None:
        """Say once what this device is."""
        info = Info(
            device=self._config.device.name,
            camera=self._config.camera.name,
            software=__version__,
            model=self._bundle.manifest.bundle_id,
            isolation=isolation,
            min_faces=self._config.mqtt.class_min_faces,
            face_finder=self._pipeline.finder.name,
            face_finder_reason=self._pipeline.finder.reason,
        )
        self._outbox.put_snapshot("info", info.to_json())

    def count(self, step: Step) -> None:
        """Take in one frame that has just reached the outbox."""
        self._frames += 1
        self._latency.add(time.monotonic() - step.frame.captured_s)
        self._faces = len(step.faces)
        report = self._pipeline.finder.report
        self._too_small = report.too_small
        self._ages_s.extend(report.landmarks_age_s.values())

    def tell(self, *, force: bool = False) -> None:
        """Write what is due: the class summary on change, health at its interval."""
        now_s = time.monotonic()
        if force or now_s - self._summary_s >= _SUMMARY_EVERY_S:
            self._summary_s = now_s
            self._govern(now_s)
            self._tell_class()
        if force or now_s - self._health_s >= self._config.health.interval_s:
            self._tell_health(now_s)

    def _govern(self, now_s: float) -> None:
        level = self._governor.level
        p95_ms = self._latency.p95_ms()
        if p95_ms is None:
            return
        load = Load(
            now_s=now_s,
            p95_ms=p95_ms,
            budget_ms=self._config.health.budget_ms,
            hot=read_condition().hot,
        )
        if self._governor.decide(load) != level:
            log.warning(
                "degradation level %d -> %d (p95 %.0f ms of %.0f ms%s)",
                level,
                self._governor.level,
                load.p95_ms,
                load.budget_ms,
                ", hot" if load.hot else "",
            )
            self._pipeline.shed(self._governor.level)
            self._latency.clear()

    def _tell_class(self) -> None:
        states = Counter(self._pipeline.states().values())
        if states == self._states:
            return
        self._states = states
        summary = summarise_class(
            states,
            device=self._config.device.name,
            camera=self._config.camera.name,
            at=date_of(read_clock().utc_s),
            min_faces=self._config.mqtt.class_min_faces,
        )
        self._outbox.put_snapshot("class", summary.to_json())

    def _tell_health(self, now_s: float) -> None:
        elapsed_s = max(now_s - self._health_s, 1e-3)
        status, stats, condition = self._capture.status(), self._outbox.stats(), read_condition()
        health = Health(
            device=self._config.device.name,
            camera=self._config.camera.name,
            at=date_of(read_clock().utc_s),
            camera_state=_STATES[status.state],
            fps=(self._frames - self._frames_told) / elapsed_s,
            frames=self._frames,
            dropped_frames=status.dropped,
            faces=self._faces,
            stages=self._pipeline.times.summary(),
            outbox_depth=stats.depth + stats.pending,
            outbox_dropped=stats.dropped,
            outbox_state=stats.state.value,
            level=self._governor.level,
            temperature_c=condition.temperature_c,
            throttled=condition.throttled,
            faces_too_small=self._too_small,
            landmarks_age_s=_middle_and_end(self._ages_s),
        )
        self._outbox.put_snapshot("health", health.to_json())
        self._health_s, self._frames_told = now_s, self._frames


def _middle_and_end(values: Sequence[float]) -> tuple[float, float] | None:
    """Median and 95th percentile, or ``None`` where there is nothing to tell."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))]

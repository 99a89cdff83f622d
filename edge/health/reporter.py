"""The vision process's reports on itself: keeps count, lets the governor act, writes snapshots."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import numpy as np

from edge import __version__
from edge.bundle.card import describe_bundle
from edge.bundle.installed import configured_library
from edge.capture.protocol import CaptureState
from edge.health.board import give_back_memory, read_condition
from edge.health.class_window import ClassWindow, WindowCounts
from edge.health.drift import DriftGauge
from edge.health.governor import Governor, Load
from edge.health.image_quality import ImageQuality, measure_image_quality
from edge.health.room_trend import RoomTrend, trend_path
from edge.stage_times import RecentLatency
from emoshift.clock import date_of, read_clock
from emoshift.emotions import Emotion, state_label
from emoshift.messages import (
    Age,
    Changes,
    ClassSummary,
    Health,
    Info,
    ModelUse,
    Percentiles,
    States,
    summarise_class,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from edge.bundle.installed import Use
    from edge.bundle.loader import Bundle
    from edge.capture.protocol import Capture
    from edge.config import Config
    from edge.daemon.event_store import EventStore
    from edge.pipeline import Pipeline, Step
    from emoshift.messages import CameraState

log = logging.getLogger(__name__)

_SUMMARY_EVERY_S: Final = 1.0
_QUALITY_EVERY_S: Final = 1.0
_STEP_MS: Final = 20.0
_DAY_S: Final = 86_400
_AGES: Final = 1000
_USES: Final = 10
"""Of what was put to use when, the latest are published."""
_NOBODY: Final = np.empty((0, 0), np.float32)
_SILENT_S: Final = 5.0
"""A camera that gives nothing for this long is reported as lost, even if it does not say so."""
_AWAY: Final = (CaptureState.LOST, CaptureState.ENDED)
_STATES: Final[dict[CaptureState, CameraState]] = {
    CaptureState.OPENING: "waiting",
    CaptureState.RUNNING: "streaming",
    CaptureState.LOST: "lost",
    CaptureState.ENDED: "lost",
}


class HealthReporter:
    """Keeps count, lets the governor act, and writes the snapshots the publisher passes on.

    Args:
        config: The whole configuration.
        bundle: The models in use.
        pipeline: What is measured and, when it is too slow or too hot, made cheaper.
        outbox: Where the snapshots go.
        capture: The camera.
    """

    def __init__(
        self,
        config: Config,
        bundle: Bundle,
        pipeline: Pipeline,
        outbox: EventStore,
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
        self._frames_published = 0
        self._drift = DriftGauge(bundle.manifest.baseline)
        self._trend = RoomTrend(trend_path(config.outbox.path), bundle.name)
        self._predicted = self._abstained = 0
        self._frame_s = time.monotonic()
        self._quality: ImageQuality | None = None
        self._quality_s = float("-inf")
        self._health_s = self._summary_s = time.monotonic()
        self._states: Counter[Emotion | None] | None = None
        self._window: ClassWindow | None = None
        self._window_s = self._summary_s
        if not config.privacy.single_faces:
            self._window = ClassWindow(
                min_faces=config.mqtt.class_min_faces, random=random.SystemRandom()
            )
        self._isolation: str | None = None
        self._mode = ""

    def publish_info(self, isolation: str) -> None:
        """Say what this device is; said again by itself once the camera has agreed to a mode."""
        if self._window is not None and self._isolation is None:
            # What an earlier setting has published of single faces must not be sent again.
            self._publish_window(None)
            self._publish_health(time.monotonic())
        self._isolation = isolation
        self._mode = self._capture.status().mode
        temporal = self._bundle.manifest.temporal
        layer = self._bundle.layer
        info = Info(
            device=self._config.device.name,
            camera=self._config.camera.name,
            software=__version__,
            model=self._bundle.manifest.bundle_id,
            isolation=isolation,  # type: ignore[arg-type] # checked by the model
            min_faces=self._config.mqtt.class_min_faces,
            publish=self._config.privacy.publish,
            face_finder=self._pipeline.finder.name,
            face_finder_reason=self._pipeline.finder.reason[:256],
            capture=self._mode[:256],
            false_changes_per_min=temporal.false_changes_per_min if temporal else None,
            site_layer="" if layer is None else layer.layer_id,
            card=describe_bundle(self._bundle),
            history=[ModelUse(since=use.since, model=use.name) for use in self._history()],
        )
        self._outbox.put_snapshot("info", info.to_json())

    def _history(self) -> tuple[Use, ...]:
        if self._config.models.bundle != "default":
            return ()
        return configured_library(self._config.models).history()[-_USES:]

    def record(self, step: Step) -> None:
        """Take in one frame that has just reached the outbox."""
        self._frames += 1
        self._latency.add(time.monotonic() - step.frame.captured_s)
        self._faces = len(step.faces)
        if self._window is not None:
            for transition in step.transitions:
                self._window.add_change(transition.label, transition.after)
        report = self._pipeline.finder.report
        self._too_small = report.too_small
        self._ages_s.extend(report.landmarks_age_s.values())
        self._predicted += len(step.predictions)
        self._abstained += step.abstained
        now_s = self._frame_s = time.monotonic()
        usable = bool(step.predictions) or not step.faces
        if usable and now_s - self._quality_s >= _QUALITY_EVERY_S:
            self._quality_s = now_s
            self._measure_quality(step, now_s)

    def _measure_quality(self, step: Step, now_s: float) -> None:
        """Measure what changes slowly: the picture itself, and how usual the faces are."""
        self._quality = measure_image_quality(step.frame.image)
        self._drift.add(
            self._pipeline.ensemble.last_inputs if step.faces else _NOBODY,
            step.predictions,
            now_s,
        )

    def silent_s(self) -> float:
        """How long the camera has given nothing without being known to be away."""
        now_s = time.monotonic()
        if self._capture.status().state in _AWAY:
            self._frame_s = now_s
        return now_s - self._frame_s

    def publish_due(self, *, force: bool = False) -> None:
        """Write what is due: the class summary on change, health at its interval."""
        now_s = time.monotonic()
        if force or now_s - self._summary_s >= _SUMMARY_EVERY_S:
            self._summary_s = now_s
            if self._isolation is not None and self._capture.status().mode != self._mode:
                self.publish_info(self._isolation)
            self._govern(now_s)
            self._publish_class()
        if force or now_s - self._health_s >= self._config.health.interval_s:
            self._publish_health(now_s)

    def _govern(self, now_s: float) -> None:
        level = self._governor.level
        p95_ms, hot = self._latency.p95_ms(), read_condition().hot
        if p95_ms is None and not hot:
            return  # too few frames at this level to judge it by
        load = Load(
            now_s=now_s, p95_ms=p95_ms or 0.0, budget_ms=self._config.health.budget_ms, hot=hot
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

    def _camera_state(self, state: CaptureState) -> CameraState:
        silent = self.silent_s() > max(_SILENT_S, 3 / self._config.camera.fps)
        return "lost" if silent else _STATES[state]

    def _publish_class(self) -> None:
        streaming = self._camera_state(self._capture.status().state) == "streaming"
        states = Counter(self._pipeline.states().values() if streaming else ())
        if self._window is not None:
            self._add_to_window(self._window, states)
            return
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

    def _add_to_window(self, window: ClassWindow, states: Counter[Emotion | None]) -> None:
        """Count the class of now into its window, and publish the window when it ends."""
        window.add(states)
        if self._summary_s - self._window_s < self._config.privacy.window_s:
            return
        self._window_s = self._summary_s
        self._publish_window(window.close())

    def _publish_window(self, counts: WindowCounts | None) -> None:
        summary = summarise_window(
            counts,
            device=self._config.device.name,
            camera=self._config.camera.name,
            at=date_of(read_clock().utc_s),
            window_s=self._config.privacy.window_s,
        )
        self._outbox.put_snapshot("class", summary.to_json())

    def _publish_health(self, now_s: float) -> None:
        elapsed_s = max(now_s - self._health_s, 1e-3)
        self._outbox.expire()
        status, stats, condition = self._capture.status(), self._outbox.stats(), read_condition()
        drift = self._drift.read()
        camera_state = self._camera_state(status.state)
        streaming = camera_state == "streaming"
        quality = self._quality if streaming else None
        abstained = self._abstained / self._predicted if self._predicted else None
        clock = read_clock()
        if clock.synced:
            day = int(clock.utc_s // _DAY_S)
            self._trend.add(day, drift=drift.largest, abstained=abstained)
        health = Health(
            device=self._config.device.name,
            camera=self._config.camera.name,
            at=date_of(clock.utc_s),
            camera_state=camera_state,
            fps=(self._frames - self._frames_published) / elapsed_s,
            frames=self._frames,
            dropped_frames=status.dropped,
            faces=self._faces if streaming else 0,
            stages=self._pipeline.times.summary(),
            outbox_depth=stats.depth + stats.pending,
            outbox_dropped=stats.dropped,
            outbox_state=stats.state.value,
            outbox_damaged=stats.damaged,
            outbox_set_aside=stats.set_aside,
            level=self._governor.level,
            temperature_c=condition.temperature_c,
            throttled=condition.throttled,
            faces_too_small=self._too_small if streaming else 0,
            landmarks_age_s=_middle_and_end(self._ages_s),
            drift=drift.largest,
            drift_blendshapes=drift.blendshapes,
            drift_confidence=drift.confidence,
            abstained=abstained,
            advice="calibrate" if self._trend.calls_for_calibration() else None,
            brightness=None if quality is None else quality.brightness,
            sharpness=None if quality is None else quality.sharpness,
            interval_s=self._config.health.interval_s,
        )
        if self._window is not None:
            health = without_faces(health)
        self._outbox.put_snapshot("health", health.to_json())
        self._health_s, self._frames_published = now_s, self._frames
        self._predicted = self._abstained = 0
        give_back_memory()


def summarise_window(
    counts: WindowCounts | None, *, device: str, camera: str, at: datetime, window_s: int
) -> ClassSummary:
    """Turn what is published of a window into a message.

    Args:
        counts: What is published; ``None`` where nothing may be.
        device: Name of the device.
        camera: Name of the camera.
        at: When the window ended.
        window_s: Its length, seconds.
    """
    states = changes = None
    if counts is not None:
        states = States(**{state_label(s): counts.states.get(s, 0) for s in (*Emotion, None)})
        changes = Changes(**{e.label: counts.changes.get(e, 0) for e in Emotion})
    return ClassSummary(
        device=device,
        camera=camera,
        at=at,
        suppressed=states is None,
        faces=None if states is None else sum(states.counts()),
        states=states,
        window_s=window_s,
        changes=changes,
    )


def without_faces(health: Health) -> Health:
    """Return a health message from which nobody can read how many faces there are, or how usual.

    What a stage takes grows with the faces in view; the whole is published, rounded to 20 ms.
    """
    total = health.stages.get("total")
    rounded = {}
    if total is not None:
        rounded = {
            "total": Percentiles(
                p50_ms=_STEP_MS * round(total.p50_ms / _STEP_MS),
                p95_ms=_STEP_MS * round(total.p95_ms / _STEP_MS),
                p99_ms=_STEP_MS * round(total.p99_ms / _STEP_MS),
            )
        }
    return health.model_copy(
        update={
            "faces": None,
            "fps": float(round(health.fps)),
            "stages": rounded,
            "faces_too_small": 0,
            "landmarks_age_s": None,
            "drift": None,
            "drift_blendshapes": None,
            "drift_confidence": None,
            "abstained": None,
        }
    )


def _middle_and_end(values: Sequence[float]) -> Age | None:
    """Median and 95th percentile, or ``None`` where there is nothing to report."""
    if not values:
        return None
    ordered = sorted(values)
    return Age(p50=ordered[len(ordered) // 2], p95=ordered[int(0.95 * (len(ordered) - 1))])

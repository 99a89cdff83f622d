"""What Prometheus reads of a device: one vocabulary for the device itself and for the dashboard.

Names follow Prometheus' rules: base units (seconds, Celsius, ratios), ``_total`` for what only
grows. What is not known is left out, and so is everything of a device that is not heard any more
but for ``emoshift_online``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

from emoshift.emotions import STATES
from emoshift.messages import CameraState, OutboxState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

    from emoshift.messages import ClassSummary, Health, Info
    from emoshift.topics import Address

LABELS: Final = ("site", "device")

_GAUGES: Final = {
    "frames_per_second": ("fps", "Frames processed a second over the last interval."),
    "faces": ("faces", "Faces in the last frame."),
    "faces_too_small": ("faces_too_small", "Faces too small for landmarks."),
    "outbox_events": ("outbox_depth", "Events that no broker has acknowledged."),
    "outbox_events_set_aside": (
        "outbox_set_aside",
        "Events that the broker refused again and again.",
    ),
    "degradation_level": ("level", "Steps of load that are shed; 0 is full quality."),
    "processor_temperature_celsius": ("temperature_c", "Temperature of the processor."),
    "processor_throttled": ("throttled", "Whether the processor slows itself down."),
    "abstained_ratio": ("abstained", "Share of predictions too uncertain to decide by."),
    "brightness_ratio": ("brightness", "Mean grey level of the picture, 0 to 1."),
    "sharpness": ("sharpness", "Variance of the picture's Laplacian at 320 pixels wide."),
}
_COUNTERS: Final = {
    "frames": ("frames", "Frames processed since the start."),
    "frames_dropped": ("dropped_frames", "Frames replaced by newer ones since the start."),
    "outbox_events_dropped": (
        "outbox_dropped",
        "Events given up because the outbox was full or they were too old.",
    ),
    "outbox_events_damaged": ("outbox_damaged", "Events that were damaged on the disk."),
}
_DRIFTS: Final = {"blendshapes": "drift_blendshapes", "confidence": "drift_confidence"}
_ENUMS: Final = {"camera_state": get_args(CameraState), "outbox_state": get_args(OutboxState)}
_QUANTILES: Final = {"0.5": "p50_ms", "0.95": "p95_ms", "0.99": "p99_ms"}
_INFO: Final = ("software", "model", "publish", "isolation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraped:
    """What is true of one device when it is scraped; ``None`` is not known, or not any more.

    Attributes:
        address: Which device.
        online: Whether it is connected to its broker.
        info, health: What it said last.
        summary: The class, where it may be shown.
    """

    address: Address
    online: bool
    info: Info | None = None
    health: Health | None = None
    summary: ClassSummary | None = None


def device_metrics(devices: Iterable[Scraped]) -> Iterator[Metric]:
    """Yield every metric of some devices, each with labels for site and device."""
    found = list(devices)
    online = _gauge("online", "Whether the device is connected to its broker.")
    vision = _gauge("vision_reporting", "Whether the process that sees pictures reports.")
    for one in found:
        online.add_metric(_labels(one), one.online)
        vision.add_metric(_labels(one), one.health is not None)
    yield online
    yield vision
    infos = [(_labels(one), one.info) for one in found if one.info is not None]
    yield _info(infos)
    healths = [(_labels(one), one.health) for one in found if one.health is not None]
    yield from _plain(healths)
    yield from _states(healths)
    yield _drift(healths)
    yield _stages(healths)
    yield _class([(_labels(one), one.summary) for one in found if one.summary is not None])


_Labels = tuple[str, ...]


def _plain(healths: list[tuple[_Labels, Health]]) -> Iterator[Metric]:
    """One number each."""
    families: list[tuple[str, GaugeMetricFamily | CounterMetricFamily]] = [
        *((key, _gauge(name, text)) for name, (key, text) in _GAUGES.items()),
        *(
            (key, CounterMetricFamily(f"emoshift_{name}", text, labels=LABELS))
            for name, (key, text) in _COUNTERS.items()
        ),
    ]
    for key, family in families:
        for labels, health in healths:
            if (value := getattr(health, key)) is not None:
                family.add_metric(labels, float(value))
        yield family


def _states(healths: list[tuple[_Labels, Health]]) -> Iterator[Metric]:
    """One of several words each: 1 for the one that holds."""
    for key, words in _ENUMS.items():
        family = _gauge(key, f"1 for the present {key.replace('_', ' ')}.", "state")
        for labels, health in healths:
            for word in words:
                family.add_metric((*labels, word), getattr(health, key) == word)
        yield family


def _drift(healths: list[tuple[_Labels, Health]]) -> Metric:
    text = "Population stability index of an input against the bundle's baseline."
    family = _gauge("drift", text, "input")
    for labels, health in healths:
        for word, key in _DRIFTS.items():
            if (value := getattr(health, key)) is not None:
                family.add_metric((*labels, word), value)
    return family


def _stages(healths: list[tuple[_Labels, Health]]) -> Metric:
    """Quantiles over the last interval, count and sum since the start (where known)."""
    name = "emoshift_stage_duration_seconds"
    text = 'How long a stage takes for one frame; "total" is capture to outbox.'
    family = SummaryMetricFamily(name, text, labels=(*LABELS, "stage"))
    for labels, health in healths:
        for stage, taken in health.stages.items():
            own = dict(zip((*LABELS, "stage"), (*labels, stage), strict=True))
            for quantile, key in _QUANTILES.items():
                seconds = getattr(taken, key) / 1e3
                family.add_sample(name, {**own, "quantile": quantile}, seconds)
            if taken.count is not None and taken.sum_ms is not None:
                family.add_metric((*labels, stage), taken.count, taken.sum_ms / 1e3)
    return family


def _info(infos: list[tuple[_Labels, Info]]) -> Metric:
    family = _gauge("device_info", "What runs on the device; always 1.", *_INFO)
    for labels, info in infos:
        family.add_metric((*labels, *(getattr(info, key) for key in _INFO)), 1)
    return family


def _class(summaries: list[tuple[_Labels, ClassSummary]]) -> Metric:
    text = "Faces in a state; left out where the class is too small to be shown."
    family = _gauge("class_faces", text, "state")
    for labels, summary in summaries:
        if summary.states is not None:
            for state, count in zip(STATES, summary.states.counts(), strict=True):
                family.add_metric((*labels, state), count)
    return family


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"emoshift_{name}", text, labels=(*LABELS, *labels))


def _labels(one: Scraped) -> _Labels:
    return one.address.site, one.address.device

"""Runs every detector over one set of streams and compares them."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.transitions import TransitionDetector
from emoshift.errors import UnavailableError
from train.transitions.baselines import GRIDS, baseline, device
from train.transitions.metrics import Scores, bootstrap, per_emotion, score, tally
from train.transitions.run_many import run
from train.transitions.streams import detect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.transitions import TransitionParameters
    from edge.values import Transition
    from train.transitions.streams import Detector, Stream

DEVICE: Final = "device"
SENSITIVITIES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorResult:
    """One detector's measures, and the 95 % interval of F1 at 1 s."""

    detector: str
    scores: Scores
    f1_low: float
    f1_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One setting of a detector on its delay-against-false-alarms curve."""

    setting: str
    f1: float
    delay_mean_s: float
    false_per_min: float
    false_per_min_still: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorComparison:
    """Everything measured on one set of streams.

    Attributes:
        level: Name of the set, and where it comes from.
        curve, average_curve: The device over its sensitivity, the average over all its settings.
        equal: Best F1 of the average among its settings with no more false alarms a minute than
            the device, each chosen on these very streams (to its advantage).
        emotions: Found, missed and false of the device at 1 s, by target.
        reliability: The device's events in bins of confidence: mean confidence, share right, n.
        us_per_frame: Median time of the detector for a face and frame.
        skipped: Detectors that could not run, and why.
    """

    level: str
    source: str
    rows: tuple[DetectorResult, ...]
    curve: tuple[Point, ...]
    average_curve: tuple[Point, ...]
    equal: float
    emotions: dict[str, dict[str, int]]
    reliability: tuple[tuple[float, float, int], ...]
    us_per_frame: float
    skipped: tuple[str, ...]

    @property
    def device(self) -> DetectorResult:
        """The device's own row."""
        return next(row for row in self.rows if row.detector == DEVICE)

    def to_json(self) -> dict[str, Any]:
        """Plain data; what could not be measured is ``None``."""
        return {
            "level": self.level,
            "source": self.source,
            "rows": [
                {
                    "detector": r.detector,
                    "f1_1_interval": [_plain(r.f1_low), _plain(r.f1_high)],
                    **r.scores.to_json(),
                }
                for r in self.rows
            ],
            "curve": [{k: _plain(v) for k, v in asdict(p).items()} for p in self.curve],
            "average_curve": [
                {k: _plain(v) for k, v in asdict(p).items()} for p in self.average_curve
            ],
            "average_f1_at_equal_false_alarms": _plain(self.equal),
            "emotions": self.emotions,
            "reliability": [list(bin_) for bin_ in self.reliability],
            "us_per_face_and_frame": _plain(self.us_per_frame),
            "skipped": list(self.skipped),
        }


def compare(
    level: str,
    source: str,
    streams: Sequence[Stream],
    parameters: TransitionParameters,
    *,
    others: Sequence[Stream] = (),
    events: Sequence[Sequence[Transition]] | None = None,
    seed: int = 0,
    note: Callable[[str], None] = lambda _: None,
) -> DetectorComparison:
    """Run the device's detector and every baseline.

    Each baseline runs with those of its settings that have the best F1 at 1 s on these very
    streams, to its advantage.

    Args:
        level: Name of the set.
        source: Where the streams come from, in words.
        streams: What the device's networks said.
        parameters: Of the device's detector.
        others: The same clips as another network sees them, for the average with ``fer``.
        events: What the pipeline itself decided, where it did; else the detector is run here.
        seed: Of the bootstrap.
        note: Called with what is being done.
    """
    found: dict[str, list[list[Transition]]] = {}
    skipped: list[str] = []
    chosen: dict[str, Mapping[str, Any]] = {}
    note(f"level {level}: device")
    found[DEVICE] = (
        [list(e) for e in events] if events is not None else _all(device(parameters), streams)
    )
    for name in GRIDS:
        note(f"level {level}: {name}")
        try:
            chosen[name], found[name] = _best(name, streams)
        except UnavailableError as why:
            skipped.append(f"{name}: {why}")
    if others:
        mean = chosen["average + hysteresis"]
        found["fer + average"] = _all(baseline("average + hysteresis", mean), others)
    truths = [s.truth for s in streams]
    rows = []
    for name, events_of in found.items():
        tallies = [tally(t, e) for t, e in zip(truths, events_of, strict=True)]
        low, high = bootstrap(tallies, seed=seed)
        rows.append(DetectorResult(detector=name, scores=score(tallies), f1_low=low, f1_high=high))
    note(f"level {level}: curves")
    events_at = run(streams, [_at(parameters, s) for s in SENSITIVITIES])
    curve = tuple(
        _point(f"{s:.1f}", streams, found_at)
        for s, found_at in zip(SENSITIVITIES, events_at, strict=True)
    )
    average_curve = tuple(
        _point(_named(g), streams, _all(baseline("average + hysteresis", g), streams))
        for g in GRIDS["average + hysteresis"][1]
    )
    ours = next(r.scores for r in rows if r.detector == DEVICE)
    equal = [p.f1 for p in average_curve if p.false_per_min <= ours.false_per_min + 1e-9]
    return DetectorComparison(
        level=level,
        source=source,
        rows=tuple(rows),
        curve=curve,
        average_curve=average_curve,
        equal=max(equal, default=math.nan),
        emotions=per_emotion(list(zip(truths, found[DEVICE], strict=True))),
        reliability=_reliability([tally(t, e) for t, e in zip(truths, found[DEVICE], strict=True)]),
        us_per_frame=_cost(parameters, streams),
        skipped=tuple(skipped),
    )


def _all(detector: Detector, streams: Sequence[Stream]) -> list[list[Transition]]:
    return [detect(detector, stream) for stream in streams]


def _best(name: str, streams: Sequence[Stream]) -> tuple[Mapping[str, Any], list[list[Transition]]]:
    """The settings of a baseline that do best on these streams, and its events with them."""
    tried = [(grid, _all(baseline(name, grid), streams)) for grid in GRIDS[name][1]]
    if len(tried) == 1:
        return tried[0]
    f1 = [_point("", streams, events).f1 for _, events in tried]
    # Where nothing changes and nothing was decided there is no F1, and any setting is as good.
    return tried[int(np.argmax([-1.0 if math.isnan(one) else one for one in f1]))]


def _at(parameters: TransitionParameters, sensitivity: float) -> TransitionParameters:
    return parameters.model_copy(update={"sensitivity": sensitivity})


def _named(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _point(
    setting: str, streams: Sequence[Stream], events: Sequence[Sequence[Transition]]
) -> Point:
    scores = score([tally(s.truth, found) for s, found in zip(streams, events, strict=True)])
    return Point(
        setting=setting,
        f1=scores.f1_1,
        delay_mean_s=scores.delay_mean_s,
        false_per_min=scores.false_per_min,
        false_per_min_still=scores.false_per_min_still,
    )


def _reliability(tallies: Sequence[Any]) -> tuple[tuple[float, float, int], ...]:
    confidences = np.array([c for t in tallies for c in t.confidences])
    right = np.array([r for t in tallies for r in t.right], float)
    index = np.minimum((confidences * 10).astype(int), 9)
    return tuple(
        (
            round(float(confidences[index == b].mean()), 4),
            round(float(right[index == b].mean()), 4),
            int((index == b).sum()),
        )
        for b in np.unique(index)
    )


def _cost(parameters: TransitionParameters, streams: Sequence[Stream]) -> float:
    """Median over blocks of frames, microseconds; NaN without frames."""
    times = []
    for stream in streams[:6]:
        for series in stream.series:
            detector = TransitionDetector(parameters)
            predictions = list(series.predictions())
            for begin in range(0, len(predictions) - 20, 20):
                started = time.perf_counter()
                for prediction in predictions[begin : begin + 20]:
                    detector.update([prediction])
                times.append((time.perf_counter() - started) / 20 * 1e6)
    return float(np.median(times)) if times else math.nan


def _plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value

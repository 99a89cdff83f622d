"""The detectors to beat: what people use today, each with its own settings in seconds."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.transitions import TransitionDetector
from edge.values import Transition
from emoshift.emotions import Emotion
from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edge.transitions import TransitionParameters
    from train.transitions.streams import Detector, Series

SETTLE_S: Final = 0.3
"""Time every baseline is given before it names a face's first emotion."""

N: Final = len(Emotion)
_FLOOR: Final = 1e-3


def device(parameters: TransitionParameters) -> Detector:
    """The detector of the device, `edge.transitions.TransitionDetector`."""

    def run(series: Series) -> list[Transition]:
        detector = TransitionDetector(parameters)
        seen = (detector.update([prediction])[0] for prediction in series.predictions())
        return [transition for transition in seen if transition is not None]

    return run


def raw_argmax(series: Series) -> list[Transition]:
    """Report every change of the top class."""
    return chain_labels(
        series, zip(series.probs.argmax(axis=1), series.probs.max(axis=1), strict=True)
    )


def average(series: Series, *, time_s: float, margin: float) -> list[Transition]:
    """Exponential average of the probabilities; change when another leads by ``margin``."""

    def labels() -> Iterator[tuple[int, float]]:
        mean = series.probs[0].astype(float)
        state = int(mean.argmax())
        for probs, dt_s in zip(series.probs, _steps(series), strict=True):
            mean += (1 - math.exp(-dt_s / time_s)) * (probs - mean)
            best = int(mean.argmax())
            if mean[best] - mean[state] > margin:
                state = best
            yield state, float(mean[state])

    return chain_labels(series, labels())


def majority(series: Series, *, window_s: float, share: float) -> list[Transition]:
    """Top class of most frames of the last ``window_s``; change when it holds ``share`` of them."""

    def labels() -> Iterator[tuple[int, float]]:
        tops = series.probs.argmax(axis=1)
        begins = np.searchsorted(series.times_s, series.times_s - window_s)
        state = int(tops[0])
        for i, begin in enumerate(begins):
            counts = np.bincount(tops[begin : i + 1], minlength=N) / (i + 1 - begin)
            if counts.max() >= share:
                state = int(counts.argmax())
            yield state, float(counts[state])

    return chain_labels(series, labels())


def cusum(series: Series, *, threshold: float, drift: float) -> list[Transition]:
    """Page's cumulative sums of log-probability ratios of each class against the present one.

    ``threshold`` in nats, ``drift`` in nats a frame; frames count as at 10 a second.
    """

    def labels() -> Iterator[tuple[int, float]]:
        logs = np.log(np.maximum(series.probs, _FLOOR))
        state, sums = int(series.probs[0].argmax()), np.zeros(N)
        for log, dt_s in zip(logs, _steps(series), strict=True):
            sums = np.maximum(0.0, sums + (log - log[state] - drift) * min(1.0, dt_s * 10))
            best = int(sums.argmax())
            if sums[best] > threshold:
                state, sums = best, np.zeros(N)
            yield state, float(np.exp(log[state]))

    return chain_labels(series, labels())


def bocpd(series: Series, *, hazard_per_s: float, margin: float) -> list[Transition]:
    """Bayesian online change-point detection (Adams and MacKay 2007).

    Each run of frames has one Dirichlet-distributed class distribution, updated with the soft
    class counts; change when another class leads the run-averaged mean by ``margin``. Run lengths
    beyond 8 s share the last cell.
    """

    def labels() -> Iterator[tuple[int, float]]:
        longest = int(np.searchsorted(series.times_s, 8.0)) + 1
        runs = np.array([1.0])
        alphas = np.full((1, N), 0.3)
        state = int(series.probs[0].argmax())
        for probs, dt_s in zip(series.probs, _steps(series), strict=True):
            means = alphas / alphas.sum(axis=1, keepdims=True)
            joint = runs * np.exp(probs @ np.log(means).T)
            hazard = 1 - math.exp(-hazard_per_s * dt_s)
            runs = np.append(hazard * joint.sum(), (1 - hazard) * joint)
            alphas = np.vstack([np.full(N, 0.3), alphas + probs])
            if len(runs) > longest:
                runs[-2] += runs[-1]
                runs, alphas = runs[:-1], alphas[:-1]
            runs /= runs.sum()
            mean = runs @ (alphas / alphas.sum(axis=1, keepdims=True))
            best = int(mean.argmax())
            if mean[best] - mean[state] > margin:
                state = best
            yield state, float(mean[state])

    return chain_labels(series, labels())


def offline(series: Series, *, penalty: float) -> list[Transition]:
    """Offline segmentation of the log-probabilities: it sees the future, so it is a bound.

    Each segment takes the class of its greatest mean log-probability and is dated at its first
    frame.

    Raises:
        UnavailableError: The package ``ruptures`` is not installed.
    """
    try:
        import ruptures
    except ImportError as why:
        raise UnavailableError("the offline bound needs the package ruptures") from why
    logs = np.log(np.maximum(series.probs, 0.02))
    if len(logs) < 4:
        return []
    ends = ruptures.KernelCPD(kernel="linear", min_size=2).fit(logs).predict(pen=penalty)
    labels = np.empty(len(logs), int)
    for begin, end in zip([0, *ends], ends, strict=False):
        labels[begin:end] = logs[begin:end].mean(axis=0).argmax()
    return chain_labels(series, ((int(label), 1.0) for label in labels))


GRIDS: Final[Mapping[str, tuple[Callable[..., list[Transition]], tuple[dict[str, Any], ...]]]] = {
    "raw arg-max": (raw_argmax, ({},)),
    "average + hysteresis": (
        average,
        tuple(
            {"time_s": t, "margin": m}
            for t in (0.15, 0.25, 0.4, 0.6)
            for m in (0.05, 0.15, 0.3, 0.5, 0.65, 0.8)
        ),
    ),
    "majority window": (
        majority,
        tuple({"window_s": w, "share": s} for w in (0.5, 0.8, 1.2) for s in (0.5, 0.6, 0.75)),
    ),
    "CUSUM": (
        cusum,
        tuple({"threshold": h, "drift": k} for h in (2.0, 4.0, 6.0, 9.0) for k in (0.0, 0.5, 1.0)),
    ),
    "BOCPD": (
        bocpd,
        tuple({"hazard_per_s": h, "margin": m} for h in (0.1, 0.4, 1.5) for m in (0.0, 0.15, 0.3)),
    ),
    "offline (ruptures)": (offline, tuple({"penalty": p} for p in (10.0, 20.0, 40.0, 80.0))),
}
"""Each baseline with the settings tried on the tuning streams."""


def baseline(name: str, settings: Mapping[str, Any]) -> Detector:
    """One baseline with its settings."""
    detector: Detector = partial(GRIDS[name][0], **settings)
    return detector


def _steps(series: Series) -> list[float]:
    """Time since the frame before, seconds; zero for the first."""
    return [float(dt) for dt in np.diff(series.times_s, prepend=series.times_s[:1])]


def chain_labels(series: Series, labels: Iterator[tuple[int, float]]) -> list[Transition]:
    """Turn a label for each frame into changes; the first is reported after `SETTLE_S`."""
    events: list[Transition] = []
    state: Emotion | None = None
    since_s = float(series.times_s[0])
    for at_s, (label, confidence) in zip(series.times_s.tolist(), labels, strict=False):
        if label == state or (state is None and at_s - float(series.times_s[0]) < SETTLE_S):
            continue
        events.append(
            Transition(
                track=series.track,
                label=f"face-{series.track}",
                before=state,
                after=Emotion(label),
                confidence=min(1.0, confidence),
                onset_s=at_s,
                decided_s=at_s,
                dwell_s=0.0 if state is None else at_s - since_s,
            )
        )
        state, since_s = Emotion(label), at_s
    return events

"""Fits the detector's parameters on tuning streams: emissions, chain, search, confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.transitions import TransitionParameters
from edge.transitions.evidence import FLOOR
from emoshift.emotions import Emotion
from train.transitions.baselines import GRIDS, baseline
from train.transitions.batched import batch, run
from train.transitions.metrics import Scores, match, score, tally
from train.transitions.streams import detect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from train.transitions.streams import Stream

N: Final = len(Emotion)
SHOWN_S: Final = 0.6
"""Frames this long after an onset show the new expression fully (the longest ramp)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where one parameter is searched; ``log`` when its ratio matters."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """Any value of the range."""
        return self.clip(self._to(rng.uniform(self._from(self.low), self._from(self.high))))

    def near(self, rng: np.random.Generator, value: float) -> float:
        """A value not far from ``value``."""
        width = (self._from(self.high) - self._from(self.low)) * 0.12
        return self.clip(self._to(self._from(value) + width * rng.normal()))

    def clip(self, value: float) -> float:
        """The nearest value of the range, to four digits."""
        return float(f"{min(max(value, self.low), self.high):.4g}")

    def _from(self, value: float) -> float:
        return float(np.log(value)) if self.log else value

    def _to(self, value: float) -> float:
        return float(np.exp(value)) if self.log else value


SEARCHED: Final = {
    "noise_time_s": Range(low=0.03, high=0.4, log=True),
    "outlier": Range(low=0.005, high=0.3, log=True),
    "rate_scale": Range(low=0.1, high=3.0, log=True),
    "threshold": Range(low=-0.5, high=3.5),
    "hold_s": Range(low=0.0, high=0.3),
    "settle_s": Range(low=0.2, high=0.8),
    "dwell_s": Range(low=0.1, high=0.7),
    "adaptation_most": Range(low=0.0, high=1.5),
}

START: Final = {
    "noise_time_s": 0.08,
    "outlier": 0.05,
    "rate_scale": 1.0,
    "threshold": 1.5,
    "hold_s": 0.1,
    "settle_s": 0.3,
    "dwell_s": 0.25,
    "adaptation_most": 0.5,
}


def objective(scores: Scores) -> float:
    """What the search maximises: F1 at 1 s, less what the aims for the other measures miss."""
    return (
        scores.f1_1
        - 0.02 * max(0.0, scores.false_per_min - 0.5)
        - 0.05 * max(0.0, scores.false_per_min_still - 0.1)
        - 0.2 * max(0.0, scores.delay_mean_s - 0.45)
        - 0.1 * max(0.0, scores.delay_p90_s - 0.8)
    )


def fit(
    streams: Sequence[Stream],
    *,
    seed: int = 0,
    draws: int = 60,
    note: Callable[[str], None] = lambda _: None,
) -> TransitionParameters:
    """Fit all parameters on tuning streams."""
    measured = _measured(streams)
    rng = np.random.default_rng(seed)
    best = dict(START)
    best_value = -np.inf
    for draw in range(draws):
        if draw == 0:
            tried = dict(best)
        elif draw < draws // 3:
            tried = {name: r.draw(rng) for name, r in SEARCHED.items()}
        else:
            moved = rng.choice(list(SEARCHED), size=rng.integers(1, 4), replace=False)
            tried = best | {name: SEARCHED[name].near(rng, best[name]) for name in moved}
        scores = evaluate(streams, _parameters(measured, tried))
        value = objective(scores)
        if value > best_value:
            best, best_value = tried, value
            note(
                f"{draw + 1}/{draws}: {value:.3f} (F1 {scores.f1_1:.3f}, delay"
                f" {scores.delay_mean_s:.2f} s, {scores.false_per_min:.2f} false a minute,"
                f" {scores.false_per_min_still:.2f} still)"
            )
    return _finished(streams, measured, best)


def evaluate(streams: Sequence[Stream], parameters: TransitionParameters) -> Scores:
    """Score the device's detector with these parameters."""
    events = run(batch(streams), parameters, len(streams))
    return score([tally(s.truth, found) for s, found in zip(streams, events, strict=True)])


def tune_baselines(
    streams: Sequence[Stream], *, note: Callable[[str], None] = lambda _: None
) -> dict[str, dict[str, Any]]:
    """The settings of each baseline that give it the best objective on the same streams."""
    tuned: dict[str, dict[str, Any]] = {}
    for name, (_, grid) in GRIDS.items():
        values = []
        for settings in grid:
            detector = baseline(name, settings)
            scores = score([tally(s.truth, detect(detector, s)) for s in streams])
            values.append(objective(scores) if len(grid) > 1 else 0.0)
        tuned[name] = dict(grid[int(np.argmax(values))])
        note(f"{name}: {tuned[name]}")
    return tuned


def _measured(streams: Sequence[Stream]) -> dict[str, Any]:
    """What is fitted in closed form or by descent: emissions, prior, chain, resting faces."""
    logs, shown = _frames(streams)
    matrix, bias = calibrate(logs, shown)
    counts = np.bincount(shown, minlength=N) + 1.0
    prior = np.maximum(counts / counts.sum(), 0.02)
    prior /= prior.sum()
    rates, destinations, start = chain(streams)
    posterior = _softmax(logs @ matrix.T + bias)
    evidence = np.log(0.95 * posterior / prior + 0.05)
    resting = evidence[shown == Emotion.NEUTRAL]
    usual = (resting - resting[:, [Emotion.NEUTRAL]]).mean(axis=0) if len(resting) else np.zeros(N)
    return {
        "calibration_matrix": _rounded(matrix),
        "calibration_bias": _rounded(bias),
        "prior": _shares(prior),
        "rates_per_s": rates,
        "destinations": destinations,
        "start": start,
        "usual": _rounded(usual),
    }


def _frames(streams: Sequence[Stream]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Log-probabilities and truth of all frames that show one expression fully."""
    logs, shown = [], []
    for stream in streams:
        onsets = np.array([-np.inf, *(c.at_s for c in stream.truth.changes)])
        for series in stream.series:
            since = series.times_s - onsets[np.searchsorted(onsets, series.times_s) - 1]
            for probs, at_s in zip(
                series.probs[since > SHOWN_S], series.times_s[since > SHOWN_S], strict=True
            ):
                logs.append(np.log(probs + FLOOR))
                shown.append(int(stream.truth.state_at(float(at_s))))
    return np.array(logs, np.float64), np.array(shown)


def calibrate(
    logs: NDArray[np.float64], shown: NDArray[np.intp], *, steps: int = 400, ridge: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dirichlet calibration (Kull et al. 2019): multinomial regression on log-probabilities.

    Args:
        logs: Shape ``(n, N)``.
        shown: Shape ``(n,)``, the true emotions.
        steps: Of Adam's descent.
        ridge: Pull of the matrix towards a diagonal and of the bias towards zero. It is strong:
            the pictures are ones that people agree on, and a free matrix learns their contrast,
            so that a mild smile no longer counts as one.

    Returns:
        Matrix ``(N, N)`` and bias ``(N,)`` of ``softmax(matrix @ log(probs) + bias)``.
    """
    theta = np.concatenate([0.7 * np.eye(N).ravel(), np.zeros(N)])
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    target = np.eye(N)[shown]
    off = 1 - np.eye(N)
    for step in range(1, steps + 1):
        matrix, bias = theta[: N * N].reshape(N, N), theta[N * N :]
        error = (_softmax(logs @ matrix.T + bias) - target) / len(logs)
        gradient = np.concatenate(
            [(error.T @ logs + ridge * matrix * off).ravel(), error.sum(axis=0) + ridge * bias]
        )
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9**step), second / (1 - 0.999**step)
        theta = theta - 0.02 * corrected[0] / (np.sqrt(corrected[1]) + 1e-9)
    return theta[: N * N].reshape(N, N), theta[N * N :]


def chain(
    streams: Sequence[Stream],
) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """Rates, destinations and start of the Markov chain, counted with one extra of each."""
    moves, spent_s, starts = np.ones((N, N)) * 0.5, np.full(N, 2.0), np.ones(N)
    np.fill_diagonal(moves, 0.0)
    for stream in streams:
        truth = stream.truth
        if truth.still:
            continue
        state, since_s = truth.start, 0.0
        starts[state] += 1
        for change in truth.changes:
            moves[state, change.after] += 1
            spent_s[state] += change.at_s - since_s
            state, since_s = change.after, change.at_s
        spent_s[state] += truth.duration_s - since_s
    rates = moves.sum(axis=1) / spent_s
    destinations = moves / moves.sum(axis=1, keepdims=True)
    return _rounded(rates), tuple(_shares(row) for row in destinations), _shares(starts)


def _parameters(
    measured: dict[str, Any], chosen: dict[str, float], **more: object
) -> TransitionParameters:
    threshold = chosen["threshold"]
    rates = [round(r * chosen["rate_scale"], 4) for r in measured["rates_per_s"]]
    values: dict[str, Any] = {
        **{k: v for k, v in measured.items() if k != "usual"},
        "rates_per_s": rates,
        "thresholds": (threshold, threshold, threshold),
        "adaptation": {"most": chosen["adaptation_most"], "usual": measured["usual"]},
        "confidence": (0.0, 1.0),
        "onset_lead_s": 0.0,
        **{k: chosen[k] for k in ("noise_time_s", "outlier", "hold_s", "settle_s", "dwell_s")},
        **more,
    }
    return TransitionParameters.model_validate(values)


def _finished(
    streams: Sequence[Stream], measured: dict[str, Any], chosen: dict[str, float]
) -> TransitionParameters:
    """Add what needs the chosen detector's own events: thresholds, onset, confidence."""
    found_in = run(batch(streams), _parameters(measured, chosen), len(streams))
    events = [(s.truth, found) for s, found in zip(streams, found_in, strict=True)]
    lags = [
        found[e].onset_s - truth.changes[c].at_s
        for truth, found in events
        for c, e in match(truth, found, 2.0).found
    ]
    lead_s = round(max(0.0, float(np.median(lags))), 3) if lags else 0.0
    tallies = [tally(truth, found) for truth, found in events]
    odds = np.array([c for t in tallies for c in t.confidences])
    odds = np.log(np.clip(odds, 1e-9, 1 - 1e-9) / np.clip(1 - odds, 1e-9, 1))
    right = np.array([r for t in tallies for r in t.right])
    low, high = _outer_thresholds(streams, measured, chosen)
    return _parameters(
        measured,
        chosen,
        onset_lead_s=lead_s,
        confidence=_logistic(odds, right),
        thresholds=(low, chosen["threshold"], high),
    )


def _outer_thresholds(
    streams: Sequence[Stream], measured: dict[str, Any], chosen: dict[str, float]
) -> tuple[float, float]:
    """Thresholds at sensitivity 0 and 1.

    At 0: the highest that still finds 85 % of what the middle finds, within 2 s. At 1: the lowest
    whose false alarms stay within four times those of the middle, and one more a minute.
    """
    middle = evaluate(streams, _parameters(measured, chosen))
    low = high = chosen["threshold"]
    for up in np.arange(0.5, 4.1, 0.5):
        tried = chosen | {"threshold": chosen["threshold"] + float(up)}
        if evaluate(streams, _parameters(measured, tried)).f1_2 < 0.85 * middle.f1_2:
            break
        low = tried["threshold"]
    for down in np.arange(0.5, 3.1, 0.5):
        tried = chosen | {"threshold": chosen["threshold"] - float(down)}
        scores = evaluate(streams, _parameters(measured, tried))
        if scores.false_per_min > 4 * middle.false_per_min + 1:
            break
        high = tried["threshold"]
    return round(low, 3), round(high, 3)


def _logistic(odds: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Intercept and slope of the log-odds of being right, lightly held.

    Newton's steps are halved until they help: from afar a whole one can lead away for good.
    """
    prior = np.array([0.0, 1.0])
    design = np.column_stack([np.ones_like(odds), odds])
    signs = np.where(right, -1.0, 1.0)

    def loss(weights: NDArray[np.float64]) -> float:
        held = 0.25 * float(((weights - prior) ** 2).sum())
        return float(np.logaddexp(0.0, signs * (design @ weights)).sum()) + held

    weights = prior
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (p - right) + 0.5 * (weights - prior)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 0.5 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-9:
            step = step / 2
        weights = weights - step
    return round(float(weights[0]), 4), round(max(0.0, float(weights[1])), 4)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True), np.float64)


def _rounded(values: NDArray[np.float64]) -> Any:
    if values.ndim > 1:
        return tuple(_rounded(row) for row in values)
    return tuple(round(float(v), 4) for v in values)


def _shares(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Shares rounded to four digits that still sum to one."""
    rounded = [round(float(v), 4) for v in values / values.sum()]
    largest = int(np.argmax(values))
    rounded[largest] = round(rounded[largest] + 1 - sum(rounded), 4)
    return tuple(rounded)

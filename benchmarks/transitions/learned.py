"""The learned alternative: a tiny causal gated recurrent network over the probabilities.

It is trained on the same tuning streams the filter is fitted on, and compared on the same report
streams; the decision record says which one ships. Plain numpy: it has 1,300 weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.emotions import Emotion
from train.transitions.baselines import chain_labels
from train.transitions.streams import Series, detect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edge.values import Transition
    from train.transitions.streams import Detector, Stream

    Weights = dict[str, NDArray[np.float64]]

N: Final = len(Emotion)
UNITS: Final = 16
INPUTS: Final = N + 1
GRACE_S: Final = 0.25
"""The network is asked for the new emotion from this long after its onset."""


def inputs(series: Series) -> NDArray[np.float64]:
    """Scaled log-probabilities and the time since the frame before; shape ``(frames, INPUTS)``."""
    logs = np.log(np.maximum(series.probs, 1e-4)) / 3 + 1
    steps = np.diff(series.times_s, prepend=series.times_s[:1])
    return np.column_stack([logs, np.tanh(steps / 0.2)])


def initial(seed: int) -> Weights:
    """Small random weights; gates lean towards keeping."""
    rng = np.random.default_rng(seed)
    return {
        "in": rng.normal(0, 0.3, (INPUTS, 3 * UNITS)),
        "re": rng.normal(0, 0.2, (UNITS, 3 * UNITS)),
        "bias": np.concatenate([np.full(UNITS, -1.0), np.zeros(2 * UNITS)]),
        "out": rng.normal(0, 0.2, (UNITS, N)),
        "end": np.zeros(N),
    }


def step(
    w: Weights, x: NDArray[np.float64], h: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """One step of a gated recurrent unit (Cho et al. 2014).

    Args:
        w: The weights.
        x: Shape ``(rows, INPUTS)``.
        h: Shape ``(rows, UNITS)``.

    Returns:
        New state, update gate, reset gate, candidate; each ``(rows, UNITS)``.
    """
    a, b = x @ w["in"] + w["bias"], h @ w["re"]
    z = _sigmoid(a[:, :UNITS] + b[:, :UNITS])
    r = _sigmoid(a[:, UNITS : 2 * UNITS] + b[:, UNITS : 2 * UNITS])
    c = np.tanh(a[:, 2 * UNITS :] + r * b[:, 2 * UNITS :])
    return (1 - z) * h + z * c, z, r, c


def train(
    streams: Sequence[Stream],
    *,
    seed: int = 0,
    epochs: int = 150,
    note: Callable[[str], None] = lambda _: None,
) -> Weights:
    """Minimise the cross-entropy of the true emotion at every frame, with Adam."""
    x, target, mask = _block(streams)
    w = initial(seed)
    first = {k: np.zeros_like(v) for k, v in w.items()}
    second = {k: np.zeros_like(v) for k, v in w.items()}
    for epoch in range(1, epochs + 1):
        loss, gradient = loss_and_gradient(w, x, target, mask)
        norm = np.sqrt(sum(float((g * g).sum()) for g in gradient.values()))
        for k, g in gradient.items():
            clipped = g * min(1.0, 1.0 / max(norm, 1e-9))
            first[k] = 0.9 * first[k] + 0.1 * clipped
            second[k] = 0.99 * second[k] + 0.01 * clipped**2
            rate = 0.02 * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
            mean = first[k] / (1 - 0.9**epoch)
            w[k] = w[k] - rate * mean / (np.sqrt(second[k] / (1 - 0.99**epoch)) + 1e-8)
        if epoch % 25 == 0:
            note(f"epoch {epoch}: {loss:.3f} nats a frame")
    return w


def loss_and_gradient(
    w: Weights, x: NDArray[np.float64], target: NDArray[np.intp], mask: NDArray[np.bool_]
) -> tuple[float, Weights]:
    """Mean cross-entropy over the frames of ``mask`` and its gradient, by back-propagation.

    Args:
        w: The weights.
        x: Shape ``(rows, frames, INPUTS)``.
        target: Shape ``(rows, frames)``.
        mask: Shape ``(rows, frames)``.
    """
    rows, frames, _ = x.shape
    h = np.zeros((rows, UNITS))
    kept = []
    count = int(mask.sum())
    gradient = {k: np.zeros_like(v) for k, v in w.items()}
    loss = 0.0
    for k in range(frames):
        new, z, r, c = step(w, x[:, k], h)
        logits = new @ w["out"] + w["end"]
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        live = mask[:, k]
        loss -= float(np.log(p[live, target[live, k]] + 1e-12).sum()) / count
        p[np.arange(rows), target[:, k]] -= 1
        kept.append((h, z, r, c, new, p * live[:, None] / count))
        h = new
    back = np.zeros((rows, UNITS))
    for k in reversed(range(frames)):
        h, z, r, c, new, error = kept[k]
        gradient["out"] += new.T @ error
        gradient["end"] += error.sum(axis=0)
        d = back + error @ w["out"].T
        recurrent = h @ w["re"][:, 2 * UNITS :]
        dc = d * z * (1 - c * c)
        dz = d * (c - h) * z * (1 - z)
        dr = dc * recurrent * r * (1 - r)
        outer = np.concatenate([dz, dr, dc], axis=1)
        inner = np.concatenate([dz, dr, dc * r], axis=1)
        gradient["in"] += x[:, k].T @ outer
        gradient["bias"] += outer.sum(axis=0)
        gradient["re"] += h.T @ inner
        back = d * (1 - z) + inner @ w["re"].T
    return loss, gradient


def learned(w: Weights, *, margin: float) -> Detector:
    """A detector: change when another emotion leads the network's output by ``margin``."""

    def run(series: Series) -> list[Transition]:
        def labels() -> Iterator[tuple[int, float]]:
            h, state = np.zeros((1, UNITS)), -1
            for x in inputs(series):
                h = step(w, x[None], h)[0]
                logits = (h @ w["out"] + w["end"])[0]
                p = np.exp(logits - logits.max())
                p /= p.sum()
                best = int(p.argmax())
                if state < 0 or p[best] - p[state] > margin:
                    state = best
                yield state, float(p[state])

        return chain_labels(series, labels())

    return run


def events(w: Weights, streams: Sequence[Stream], *, margin: float) -> list[list[Transition]]:
    """Events of each stream."""
    return [detect(learned(w, margin=margin), stream) for stream in streams]


def _block(
    streams: Sequence[Stream],
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.bool_]]:
    """All series padded to one length, with targets and what counts."""
    pairs = [(stream.truth, series) for stream in streams for series in stream.series]
    longest = max(len(series.times_s) for _, series in pairs)
    x = np.zeros((len(pairs), longest, INPUTS))
    target = np.zeros((len(pairs), longest), np.intp)
    mask = np.zeros((len(pairs), longest), bool)
    for row, (truth, series) in enumerate(pairs):
        count = len(series.times_s)
        x[row, :count] = inputs(series)
        target[row, :count] = [truth.state_at(t - GRACE_S) for t in series.times_s.tolist()]
        mask[row, :count] = True
    return x, target, mask


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))

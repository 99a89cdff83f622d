"""One step of an LSTM with a dense layer: in floating point, and on an int8 grid.

The step is what the device runs: channels and the two states go in, logits and new states come
out. On the grid every intermediate value is rounded as the int8 graph rounds it, so the ranges can
be chosen by trying them, without building a graph for each.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.features.blendshapes import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

GATES: Final = ("input", "forget", "cell", "output")
UNIT: Final = 1.0 / 128.0
"""Step of everything that lies between -1 and 1: the hidden state and what tanh gives."""
CLIPPED: Final = LIMIT / 127.0
"""Step of the channels, which are clipped at ``LIMIT``."""
STRETCH: Final = CLIPPED / UNIT
"""Channels are divided by this before they meet the hidden state, and their weights multiplied.

Both then share one int8 scale and one multiplication, and the channels' integers stay as they are.
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """The network's numbers, float32.

    Attributes:
        kernel: ``(channels, 4 * units)``, gates in the order of `GATES`.
        recurrent: ``(units, 4 * units)``.
        bias: ``(4 * units,)``.
        dense: ``(units, classes)``.
        dense_bias: ``(classes,)``.
    """

    kernel: NDArray[np.float32]
    recurrent: NDArray[np.float32]
    bias: NDArray[np.float32]
    dense: NDArray[np.float32]
    dense_bias: NDArray[np.float32]

    @property
    def units(self) -> int:
        """Size of the state."""
        return int(self.recurrent.shape[0])

    def gate(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return one gate's matrix ``(channels + units, units)``, for stretched channels, and bias."""
        part = slice(GATES.index(name) * self.units, (GATES.index(name) + 1) * self.units)
        stretched = self.kernel[:, part] * np.float32(STRETCH)
        return np.concatenate([stretched, self.recurrent[:, part]]), self.bias[part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Largest magnitude each int8 tensor can hold; all are symmetric about zero."""

    input: float
    forget: float
    cell: float
    output: float
    state_c: float
    logits: float


def walk(
    weights: Weights, channels: NDArray[np.float32], ranges: Ranges | None = None
) -> NDArray[np.float32]:
    """Run sequences through the step, from a state of zeros.

    Args:
        weights: The network.
        channels: Shape ``(n, steps, channels)``.
        ranges: Round to the int8 grid of these; ``None`` computes in floating point.

    Returns:
        Logits, shape ``(n, steps, classes)``, float32.
    """
    logits, _, _ = _walk(weights, channels, ranges)
    return logits


def choose_ranges(weights: Weights, channels: NDArray[np.float32]) -> Ranges:
    """Choose the ranges under which the rounded step stays nearest to the exact one.

    Starts from the largest magnitudes met on the calibration sequences, then narrows one range at
    a time while the mean distance of the probabilities shrinks: a state that is cut off at a rare
    extreme but rounded more finely drifts less.

    Args:
        weights: The network.
        channels: Calibration sequences, shape ``(n, steps, channels)``.
    """
    exact, met, _ = _walk(weights, channels, None)
    target = _softmax(exact)

    def distance(ranges: Ranges) -> float:
        found = _softmax(walk(weights, channels, ranges))
        return float(np.sqrt(np.mean((found - target) ** 2)))

    best = Ranges(**met)
    least = distance(best)
    for _ in range(2):
        for field in fields(Ranges):
            for share in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
                tried = replace(best, **{field.name: met[field.name] * share})
                if (off := distance(tried)) < least:
                    best, least = tried, off
    return best


def _walk(
    weights: Weights, channels: NDArray[np.float32], ranges: Ranges | None
) -> tuple[NDArray[np.float32], dict[str, float], NDArray[np.float32]]:
    sequences, steps, _ = channels.shape
    gates = {name: weights.gate(name) for name in GATES}
    if ranges is not None:
        gates = {name: (_round_columns(matrix), bias) for name, (matrix, bias) in gates.items()}
    dense = weights.dense if ranges is None else _round_columns(weights.dense)
    met = dict.fromkeys((f.name for f in fields(Ranges)), 1e-3)

    def put(name: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
        met[name] = max(met[name], float(np.abs(value).max()))
        return value if ranges is None else _round(value, getattr(ranges, name) / 127.0)

    def squash(
        function: Callable[[NDArray[np.float32]], NDArray[np.float32]], value: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if ranges is None:
            return function(value)
        if function is _sigmoid:
            return np.clip(np.rint(function(value) * 256), 0, 255) / np.float32(256)
        return _round(function(value), UNIT)

    h = np.zeros((sequences, weights.units), np.float32)
    c = np.zeros_like(h)
    out = np.empty((sequences, steps, weights.dense.shape[1]), np.float32)
    for step in range(steps):
        x = channels[:, step]
        if ranges is not None:
            x = _round(x, CLIPPED)
        both = np.concatenate([x / np.float32(STRETCH), h], axis=1)
        z = {name: put(name, both @ matrix + bias) for name, (matrix, bias) in gates.items()}
        kept = squash(_sigmoid, z["forget"]) * c
        fresh = squash(_sigmoid, z["input"]) * squash(np.tanh, z["cell"])
        if ranges is not None:
            kept, fresh = _round(kept, ranges.state_c / 127.0), _round(fresh, UNIT)
        c = put("state_c", kept + fresh)
        h = squash(_sigmoid, z["output"]) * squash(np.tanh, c)
        if ranges is not None:
            h = _round(h, UNIT)
        out[:, step] = put("logits", h @ dense + weights.dense_bias)
    return out, met, c


def _round(values: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    rounded = np.clip(np.rint(values / np.float32(step)), -128, 127) * np.float32(step)
    return np.asarray(rounded, np.float32)


def _round_columns(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round weights to int8 with a scale for each output, as the converter does."""
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-8) / np.float32(127)
    return np.asarray(np.rint(matrix / scale) * scale, np.float32)


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)

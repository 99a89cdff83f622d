"""One step of an LSTM with a dense layer: in floating point, and on an int8 grid.

The step is what the device runs: channels and the two states go in, logits and new states come
out. On the grid every intermediate value is rounded as the int8 graph rounds it, so the ranges can
be chosen by trying them, without building a graph for each.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from edge.features.blendshapes import LIMIT

if TYPE_CHECKING:
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


SHARES: Final = (0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.22, 0.16, 0.12)
"""How much of the range that was met is tried."""


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
        """Return a gate's matrix ``(channels + units, units)`` for stretched channels, and bias."""
        part = slice(GATES.index(name) * self.units, (GATES.index(name) + 1) * self.units)
        stretched = self.kernel[:, part] * np.float32(STRETCH)
        return np.concatenate([stretched, self.recurrent[:, part]]), self.bias[part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """What each int8 tensor can hold.

    Attributes:
        input, forget, cell, output: Largest magnitude of a gate before its nonlinearity.
        state_c: Largest magnitude of the cell state.
        low, high: Smallest and largest logit.
    """

    input: float
    forget: float
    cell: float
    output: float
    state_c: float
    low: float
    high: float

    def grid(self, name: str) -> tuple[float, int]:
        """Return scale and zero point of ``logits`` or of a tensor that is symmetric about zero."""
        if name != "logits":
            return float(getattr(self, name)) / 127.0, 0
        scale = (self.high - self.low) / 255.0
        return scale, round(-128 - self.low / scale)


def run_sequence(
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
    return _run_sequence(weights, channels, _Exact() if ranges is None else _Rounded(ranges))


def choose_ranges(weights: Weights, channels: NDArray[np.float32]) -> Ranges:
    """Choose the ranges under which the rounded step stays nearest to the exact one.

    Starts from the extremes met on the calibration sequences, then narrows one range at a time
    while the predictions come nearer: a state that is cut off at a rare extreme but rounded more
    finely drifts less, and logits that are rounded more finely tie less often.

    Args:
        weights: The network.
        channels: Calibration sequences, shape ``(n, steps, channels)``.
    """
    grid = _Exact()
    exact, met = _run_sequence(weights, channels, grid), grid.met
    target, top = _softmax(exact), exact.argmax(axis=-1)

    def distance(ranges: Ranges) -> float:
        found = run_sequence(weights, channels, ranges)
        off = float(np.sqrt(np.mean((_softmax(found) - target) ** 2)))
        return off + 0.5 * float((found.argmax(axis=-1) != top).mean())

    best = Ranges(**met)
    least = distance(best)
    for _ in range(2):
        for field in fields(Ranges):
            for share in SHARES:
                tried = replace(best, **{field.name: met[field.name] * share})
                if (off := distance(tried)) < least:
                    best, least = tried, off
    return best


def _run_sequence(
    weights: Weights, channels: NDArray[np.float32], grid: _Grid
) -> NDArray[np.float32]:
    sequences, steps, _ = channels.shape
    gates = {name: weights.gate(name) for name in GATES}
    gates = {name: (grid.columns(matrix), bias) for name, (matrix, bias) in gates.items()}
    dense = grid.columns(weights.dense)
    h = np.zeros((sequences, weights.units), np.float32)
    c = np.zeros_like(h)
    out = np.empty((sequences, steps, weights.dense.shape[1]), np.float32)
    for step in range(steps):
        x = grid.unit(channels[:, step] / np.float32(STRETCH))
        both = np.concatenate([x, h], axis=1)
        z = {name: grid.held(name, both @ matrix + bias) for name, (matrix, bias) in gates.items()}
        kept = grid.held("state_c", grid.sigmoid(z["forget"]) * c)
        fresh = grid.unit(grid.sigmoid(z["input"]) * grid.unit(np.tanh(z["cell"])))
        c = grid.held("state_c", kept + fresh)
        h = grid.unit(grid.sigmoid(z["output"]) * grid.unit(np.tanh(c)))
        out[:, step] = grid.held("logits", h @ dense + weights.dense_bias)
    return out


class _Grid(Protocol):
    """How the values of a step are kept."""

    def columns(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return weights as they are stored."""
        ...

    def unit(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values within -1 and 1."""
        ...

    def sigmoid(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``1 / (1 + exp(-values))``."""
        ...

    def held(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a tensor whose range is chosen: a gate, the cell state or the logits."""
        ...


class _Exact:
    """Leaves every value as it is, and notes the extremes."""

    def __init__(self) -> None:
        self.met = dict.fromkeys((*GATES, "state_c", "low", "high"), 1e-3)

    def columns(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        return matrix

    def unit(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values

    def sigmoid(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return _sigmoid(values)

    def held(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        low, high = float(values.min()), float(values.max())
        if name == "logits":
            self.met["low"] = min(self.met["low"], low)
            self.met["high"] = max(self.met["high"], high)
        else:
            self.met[name] = max(self.met[name], -low, high)
        return values


class _Rounded:
    """Rounds every value as the int8 graph does."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges

    def columns(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        # A scale for each output, as the converter does it.
        scale = np.maximum(np.abs(matrix).max(axis=0), 1e-8) / np.float32(127)
        return np.asarray(np.rint(matrix / scale) * scale, np.float32)

    def unit(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return _round(values, UNIT)

    def sigmoid(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return _round(_sigmoid(values), 1 / 256, -128)

    def held(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return _round(values, *self._ranges.grid(name))


def _round(values: NDArray[np.float32], step: float, zero: int = 0) -> NDArray[np.float32]:
    levels = np.clip(np.rint(values / np.float32(step)), -128 - zero, 127 - zero)
    return np.asarray(levels * np.float32(step), np.float32)


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)

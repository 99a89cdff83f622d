"""EfficientDet-Lite 0 to 2 (Tan, Pang, Le 2020; the Lite variants of google/automl).

Detectors of 90 classes that are published for boards with 1 to 4 threads. The search for the best
boxes at their end, which is no network, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.reference_models.mobilenet import inverted_residual
from benchmarks.reference_models.writer import Writer

if TYPE_CHECKING:
    from benchmarks.reference_models.writer import Precision, Tensor

_ANCHORS: Final = 9
_CLASSES: Final = 90
_HEAD_LAYERS: Final = 3
# EfficientNet-Lite: kernel, expansion, output channels, repetitions, first stride of each group.
_GROUPS: Final = (
    (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2), (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2), (3, 6, 320, 1, 1),
)  # fmt: skip
_LEVELS_AFTER: Final = (2, 4, 6)
"""Groups whose results are handed on: those with 1/8, 1/16 and 1/32 of the picture's width."""


@dataclass(frozen=True, slots=True)
class _Size:
    """One of the variants: picture, scale of the backbone, and the pyramid's channels and cells."""

    side_px: int
    width: float
    depth: float
    channels: int
    cells: int


_SIZES: Final = (
    _Size(320, 1.0, 1.0, 64, 3),
    _Size(384, 1.0, 1.1, 88, 4),
    _Size(448, 1.1, 1.2, 112, 5),
)


def efficientdet_lite(number: int, precision: Precision) -> bytes:
    """Write the model: boxes ``(1, places, 4)`` and classes ``(1, places, 90)``."""
    size = _SIZES[number]
    writer = Writer(precision)
    source = writer.picture(size.side_px)
    levels = _backbone(writer, source, size)
    fifth = writer.convolve(levels[-1], size.channels, activation="NONE")
    levels.append(writer.halve(fifth))
    levels.append(writer.halve(levels[-1]))
    for _ in range(size.cells):
        levels = _cell(writer, levels, size.channels)
    boxes = writer.join([_head(writer, level, 4 * _ANCHORS) for level in levels], 4)
    classes = writer.join([_head(writer, level, _CLASSES * _ANCHORS) for level in levels], _CLASSES)
    return writer.finish(source, boxes, writer.activate(classes, "LOGISTIC"))


def _backbone(writer: Writer, source: Tensor, size: _Size) -> list[Tensor]:
    here = writer.convolve(source, 32, kernel=3, stride=2)
    found = []
    for group, (kernel, expansion, channels, times, first_stride) in enumerate(_GROUPS):
        ends = group in (0, len(_GROUPS) - 1)
        for number in range(times if ends else math.ceil(times * size.depth)):
            here = inverted_residual(
                writer, here, _rounded(channels * size.width), kernel=kernel,
                stride=first_stride if number == 0 else 1, expansion=expansion,
            )  # fmt: skip
        if group in _LEVELS_AFTER:
            found.append(here)
    return found


def _cell(writer: Writer, levels: list[Tensor], channels: int) -> list[Tensor]:
    """Add one cell of the pyramid: from coarse to fine, then back."""

    def fit(level: Tensor) -> Tensor:
        if level.channels == channels:
            return level
        return writer.convolve(level, channels, activation="NONE")

    fine = [levels[-1]]
    for level in reversed(levels[:-1]):
        fine.append(_fuse(writer, fit(level), writer.enlarge(fine[-1], level.side)))
    fine.reverse()
    out = [fine[0]]
    for index in range(1, len(levels)):
        parts = [writer.halve(out[-1])]
        if index < len(levels) - 1:
            parts.append(fine[index])
        out.append(_fuse(writer, fit(levels[index]), *parts))
    return out


def _fuse(writer: Writer, first: Tensor, *others: Tensor) -> Tensor:
    here = first
    for number, other in enumerate(others, start=1):
        last = number == len(others)
        here = writer.add(here, other, activation="RELU6" if last else "NONE")
    return _separable(writer, here, here.channels, last=True)


def _head(writer: Writer, level: Tensor, channels: int) -> Tensor:
    here = level
    for _ in range(_HEAD_LAYERS):
        here = _separable(writer, here, here.channels, last=False)
    return _separable(writer, here, channels, last=True)


def _separable(writer: Writer, source: Tensor, channels: int, *, last: bool) -> Tensor:
    here = writer.convolve(source, source.channels, kernel=3, depthwise=True, activation="NONE")
    return writer.convolve(here, channels, activation="NONE" if last else "RELU6")


def _rounded(channels: float) -> int:
    """Round to a multiple of 8, as EfficientNet does: never down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded

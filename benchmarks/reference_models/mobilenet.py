"""MobileNet's three generations for pictures of 224x224, which XNNPACK's authors time on boards.

Howard et al. 2017, Sandler et al. 2018, Howard et al. 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from benchmarks.reference_models.writer import Writer

if TYPE_CHECKING:
    from benchmarks.reference_models.writer import Activation, Precision, Tensor

_SIDE_PX: Final = 224
_CLASSES: Final = 1001

# Output channels and stride of each separable block.
_V1: Final = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
# Expansion, output channels, repetitions and first stride of each group of blocks.
_V2: Final = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
# Kernel, expanded channels, output channels, squeeze and excite, hard swish, stride of each block.
_V3_LARGE: Final = (
    (3, 16, 16, False, False, 1), (3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2), (3, 200, 80, False, True, 1), (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1), (3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1),
)  # fmt: skip
_V3_SMALL: Final = (
    (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1),
)  # fmt: skip


def mobilenet_v1(precision: Precision) -> bytes:
    """Write the model: input ``(1, 224, 224, 3)``, output ``(1, 1, 1, 1001)`` of ``precision``."""
    writer = Writer(precision)
    source = writer.picture(_SIDE_PX)
    here = writer.convolve(source, 32, kernel=3, stride=2)
    for channels, stride in _V1:
        here = writer.convolve(here, here.channels, kernel=3, stride=stride, depthwise=True)
        here = writer.convolve(here, channels)
    return writer.finish(source, _classes(writer, writer.mean(here)))


def mobilenet_v2(precision: Precision) -> bytes:
    """Write the model: input ``(1, 224, 224, 3)``, output ``(1, 1, 1, 1001)`` of ``precision``."""
    writer = Writer(precision)
    source = writer.picture(_SIDE_PX)
    here = writer.convolve(source, 32, kernel=3, stride=2)
    for expansion, channels, times, first_stride in _V2:
        for number in range(times):
            stride = first_stride if number == 0 else 1
            here = inverted_residual(
                writer, here, channels, kernel=3, stride=stride, expansion=expansion
            )
    here = writer.convolve(here, 1280)
    return writer.finish(source, _classes(writer, writer.mean(here)))


def mobilenet_v3(size: Literal["large", "small"]) -> bytes:
    """Write the model in float32, in which alone it is published."""
    writer = Writer("float32")
    source = writer.picture(_SIDE_PX)
    here = _swish(writer, writer.convolve(source, 16, kernel=3, stride=2, activation="NONE"))
    for kernel, expanded, channels, squeezed, swish, stride in (
        _V3_LARGE if size == "large" else _V3_SMALL
    ):
        here = _v3_block(writer, here, kernel, expanded, channels, squeezed, swish, stride)
    wide, last = (960, 1280) if size == "large" else (576, 1024)
    here = writer.mean(_swish(writer, writer.convolve(here, wide, activation="NONE")))
    here = _swish(writer, writer.convolve(here, last, activation="NONE"))
    return writer.finish(source, _classes(writer, here))


def inverted_residual(
    writer: Writer, source: Tensor, channels: int, *, kernel: int, stride: int, expansion: int
) -> Tensor:
    """Add the block of MobileNetV2: widen, filter each channel, narrow, and add the input."""
    here = source
    if expansion > 1:
        here = writer.convolve(here, source.channels * expansion)
    here = writer.convolve(here, here.channels, kernel=kernel, stride=stride, depthwise=True)
    here = writer.convolve(here, channels, activation="NONE")
    return writer.add(here, source) if here.shape == source.shape else here


def _v3_block(
    writer: Writer,
    source: Tensor,
    kernel: int,
    expanded: int,
    channels: int,
    squeezed: bool,
    swish: bool,
    stride: int,
) -> Tensor:
    activation: Activation = "NONE" if swish else "RELU"
    here = source
    if expanded != source.channels:
        here = _swish(writer, writer.convolve(here, expanded, activation=activation), swish)
    here = writer.convolve(
        here, expanded, kernel=kernel, stride=stride, depthwise=True, activation=activation
    )
    here = _swish(writer, here, swish)
    if squeezed:
        inner = -(-expanded // 4 // 8) * 8
        gate = writer.convolve(writer.mean(here), inner, activation="RELU")
        gate = writer.hard_sigmoid(writer.convolve(gate, expanded, activation="NONE"))
        here = writer.multiply(here, gate)
    here = writer.convolve(here, channels, activation="NONE")
    return writer.add(here, source) if here.shape == source.shape else here


def _swish(writer: Writer, source: Tensor, wanted: bool = True) -> Tensor:
    return writer.activate(source, "HARD_SWISH") if wanted else source


def _classes(writer: Writer, source: Tensor) -> Tensor:
    return writer.softmax(writer.convolve(source, _CLASSES, activation="NONE"))

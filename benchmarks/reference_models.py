"""MobileNetV1 (Howard et al. 2017), 224x224, in float32 and int8, with random weights.

Boards are compared by it all over the literature. How long a model takes does not depend on what
its weights are, so none are shipped: the files are written here, operator by operator, always the
same ones (docs/adr/0007-reference-models.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Precision = Literal["float32", "int8"]

SIDE_PX: Final = 224
CLASSES: Final = 1001
_SEED: Final = 1
_FIRST: Final = 32
# Output channels and stride of each separable block.
_BLOCKS: Final = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
_RELU6_SCALE: Final = 6 / 255


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    """A tensor that an operator made or reads."""

    index: int
    side: int
    channels: int
    scale: float


def mobilenet_v1(precision: Precision) -> bytes:
    """Write the model: input ``(1, 224, 224, 3)``, output ``(1, 1001)``, both of ``precision``.

    Raises:
        UnavailableError: The runtime's file format library is not installed.
    """
    writer = _Writer(precision)
    here = writer.activation(SIDE_PX, 3, 1 / 128, 0)
    source = here
    here = writer.convolve(here, _FIRST, kernel=3, stride=2)
    for channels, stride in _BLOCKS:
        here = writer.convolve(here, here.channels, kernel=3, stride=stride, depthwise=True)
        here = writer.convolve(here, channels, kernel=1, stride=1)
    here = writer.pool(here)
    here = writer.convolve(here, CLASSES, kernel=1, stride=1, last=True)
    return writer.finish(source, writer.softmax(here))


class _Writer:
    """Puts a TFLite file together, one operator at a time."""

    def __init__(self, precision: Precision) -> None:
        try:
            flatbuffers: Any = import_module("flatbuffers")  # comes with the runtime
            from ai_edge_litert import schema_py_generated as schema
        except ImportError as why:
            raise UnavailableError(
                f"the reference models need ai-edge-litert ({why}): pip install ai-edge-litert"
            ) from why
        self._fb: Any = schema
        self._builder: Any = flatbuffers.Builder(1 << 20)
        self._int8 = precision == "int8"
        self._random = np.random.default_rng(_SEED)
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]

    def activation(self, side: int, channels: int, scale: float, zero: int) -> _Tensor:
        shape = (1, side, side, channels)
        index = self._add(
            shape, np.dtype(np.int8 if self._int8 else np.float32), [scale], zero=zero
        )
        return _Tensor(index=index, side=side, channels=channels, scale=scale)

    def convolve(
        self,
        source: _Tensor,
        channels: int,
        *,
        kernel: int,
        stride: int,
        depthwise: bool = False,
        last: bool = False,
    ) -> _Tensor:
        """Add a convolution, with ReLU6 unless it is the last one."""
        fb = self._fb
        fan_in = kernel * kernel * (1 if depthwise else source.channels)
        shape = (
            (1, kernel, kernel, channels)
            if depthwise
            else (channels, kernel, kernel, source.channels)
        )
        real = self._random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)
        side = -(-source.side // stride)
        out = (
            self.activation(side, channels, 0.1, 0)
            if last
            else self.activation(side, channels, _RELU6_SCALE, -128)
        )
        weights, bias = self._weights(real, source, depthwise=depthwise)
        options: Any = fb.DepthwiseConv2DOptionsT() if depthwise else fb.Conv2DOptionsT()
        if depthwise:
            options.depthMultiplier = 1
        options.padding = fb.Padding.SAME
        options.strideW = options.strideH = stride
        options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = (
            fb.ActivationFunctionType.NONE if last else fb.ActivationFunctionType.RELU6
        )
        self._operate(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
            options,
            [source.index, weights, bias],
            out.index,
            version=3 if self._int8 else 1,
        )
        return out

    def pool(self, source: _Tensor) -> _Tensor:
        """Add the mean over the whole picture."""
        options = self._fb.Pool2DOptionsT()
        options.padding = self._fb.Padding.VALID
        options.strideW = options.strideH = 1
        options.filterWidth = options.filterHeight = source.side
        out = self.activation(1, source.channels, source.scale, -128)
        self._operate(
            "AVERAGE_POOL_2D", "Pool2DOptions", options, [source.index], out.index, version=2
        )
        return out

    def softmax(self, source: _Tensor) -> int:
        options = self._fb.SoftmaxOptionsT()
        options.beta = 1.0
        dtype = np.dtype(np.int8 if self._int8 else np.float32)
        out = self._add((1, 1, 1, source.channels), dtype, [1 / 256], zero=-128)
        self._operate("SOFTMAX", "SoftmaxOptions", options, [source.index], out, version=2)
        return out

    def finish(self, source: _Tensor, out: int) -> bytes:
        self._graph.inputs, self._graph.outputs = [source.index], [out]
        self._builder.Finish(self._model.Pack(self._builder), b"TFL3")
        return bytes(self._builder.Output())

    def _weights(
        self, real: NDArray[np.float32], source: _Tensor, *, depthwise: bool
    ) -> tuple[int, int]:
        """Add weights and bias; int8 ones have a scale for each output channel."""
        axis = 3 if depthwise else 0
        channels = real.shape[axis]
        if not self._int8:
            bias = np.zeros(channels, np.float32)
            return (
                self._add(real.shape, real.dtype, data=real),
                self._add(bias.shape, bias.dtype, data=bias),
            )
        others = tuple(i for i in range(4) if i != axis)
        scales = np.abs(real).max(axis=others) / 127
        spread = scales.reshape([-1 if i == axis else 1 for i in range(4)])
        whole = np.rint(real / spread).astype(np.int8)
        zeros = np.zeros(channels, np.int32)
        weights = self._add(whole.shape, whole.dtype, scales.tolist(), axis=axis, data=whole)
        bias_scales = (scales * source.scale).tolist()
        return weights, self._add(zeros.shape, zeros.dtype, bias_scales, data=zeros)

    def _add(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        scales: list[float] | None = None,
        *,
        zero: int = 0,
        axis: int = 0,
        data: NDArray[Any] | None = None,
    ) -> int:
        fb = self._fb
        tensor = fb.TensorT()
        tensor.name = f"t{len(self._graph.tensors)}"
        tensor.shape = list(shape)
        tensor.type = getattr(fb.TensorType, dtype.name.upper())
        if self._int8 and scales is not None:
            tensor.quantization = fb.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = [zero] * len(scales)
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            buffer = fb.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operate(
        self, name: str, kind: str, options: object, ins: list[int], out: int, *, version: int
    ) -> None:
        fb = self._fb
        code = fb.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(fb.BuiltinOperator, name)
        code.version = version
        self._model.operatorCodes.append(code)
        operator = fb.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = ins, [out]
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(fb.BuiltinOptions, kind)
        self._graph.operators.append(operator)

"""Puts a TFLite file together, one operator at a time, with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Precision = Literal["float32", "int8"]
Activation = Literal["NONE", "RELU", "RELU6"]

_SEED: Final = 1
_CLIPPED: Final = 6 / 255
"""int8 scale of what ReLU6 leaves: 0 to 6 over 255 steps from -128 on."""
_FREE: Final = 0.1
"""int8 scale of what has no activation, around 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A square map of features that an operator made or reads, or a list of them.

    Attributes:
        shape: ``(1, side, side, channels)``, or ``(1, rows, columns)``.
        scale, zero: How int8 numbers are read; meaningless in float32.
    """

    index: int
    shape: tuple[int, ...]
    scale: float
    zero: int

    @property
    def side(self) -> int:
        """Width and height of a map."""
        return self.shape[1]

    @property
    def channels(self) -> int:
        """Numbers at each place."""
        return self.shape[-1]


class Writer:
    """Writes one model.

    Raises:
        UnavailableError: The runtime's file format library is not installed.
    """

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
        self._codes: dict[tuple[str, int], int] = {}
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.subgraphs = [self._graph]

    def picture(self, side: int) -> Tensor:
        """Add the input: ``(1, side, side, 3)``."""
        return self._activation((1, side, side, 3), 1 / 128, 0)

    def convolve(
        self,
        source: Tensor,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        activation: Activation = "RELU6",
    ) -> Tensor:
        """Add a convolution; the normalisation of a batch is thought of as folded into it."""
        fb = self._fb
        fan_in = kernel * kernel * (1 if depthwise else source.channels)
        shape = (
            (1, kernel, kernel, channels)
            if depthwise
            else (channels, kernel, kernel, source.channels)
        )
        real = self._random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)
        side = -(-source.side // stride)
        out = self._activation(
            (1, side, side, channels),
            *((_FREE, 0) if activation == "NONE" else (_CLIPPED, -128)),
        )
        weights, bias = self._weights(real, source, depthwise=depthwise)
        options: Any = fb.DepthwiseConv2DOptionsT() if depthwise else fb.Conv2DOptionsT()
        if depthwise:
            options.depthMultiplier = 1
        options.padding = fb.Padding.SAME
        options.strideW = options.strideH = stride
        options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = getattr(fb.ActivationFunctionType, activation)
        self._operate(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
            options,
            [source.index, weights, bias],
            out,
            version=3 if self._int8 else 1,
        )
        return out

    def add(self, first: Tensor, second: Tensor, *, activation: Activation = "NONE") -> Tensor:
        """Add two maps place by place."""
        options = self._fb.AddOptionsT()
        options.fusedActivationFunction = getattr(self._fb.ActivationFunctionType, activation)
        clipped = activation == "RELU6"
        out = self._activation(first.shape, *((_CLIPPED, -128) if clipped else (_FREE, 0)))
        self._operate(
            "ADD", "AddOptions", options, [first.index, second.index], out,
            version=2 if self._int8 else 1,
        )  # fmt: skip
        return out

    def multiply(self, first: Tensor, second: Tensor) -> Tensor:
        """Multiply two maps place by place; one of them may have a single place."""
        options = self._fb.MulOptionsT()
        out = self._activation(first.shape, _FREE, 0)
        self._operate("MUL", "MulOptions", options, [first.index, second.index], out)
        return out

    def activate(
        self, source: Tensor, operator: Literal["RELU6", "HARD_SWISH", "LOGISTIC"]
    ) -> Tensor:
        """Add an activation as an operator of its own."""
        places = {"RELU6": (_CLIPPED, -128), "HARD_SWISH": (_FREE, 0), "LOGISTIC": (1 / 256, -128)}
        out = self._activation(source.shape, *places[operator])
        self._operate(
            operator, "NONE" if operator != "HARD_SWISH" else "HardSwishOptions",
            self._fb.HardSwishOptionsT() if operator == "HARD_SWISH" else None,
            [source.index], out, version=2 if self._int8 else 1,
        )  # fmt: skip
        return out

    def hard_sigmoid(self, source: Tensor) -> Tensor:
        """Add ``relu6(x + 3) / 6``."""
        three, sixth = self._constant(3.0), self._constant(1 / 6)
        return self.multiply(self.add(source, three, activation="RELU6"), sixth)

    def mean(self, source: Tensor) -> Tensor:
        """Add the mean over the whole map."""
        return self._pool("AVERAGE_POOL_2D", source, source.side, 1, "VALID")

    def halve(self, source: Tensor) -> Tensor:
        """Add the largest of every 3x3 neighbourhood, every other one."""
        return self._pool("MAX_POOL_2D", source, 3, 2, "SAME")

    def enlarge(self, source: Tensor, side: int) -> Tensor:
        """Repeat places until a map has another size."""
        options = self._fb.ResizeNearestNeighborOptionsT()
        size = np.array((side, side), np.int32)
        out = self._activation((1, side, side, source.channels), source.scale, source.zero)
        self._operate(
            "RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", options,
            [source.index, self._tensor(size.shape, size.dtype, data=size)], out,
            version=2 if self._int8 else 1,
        )  # fmt: skip
        return out

    def join(self, sources: Sequence[Tensor], columns: int) -> Tensor:
        """Lay maps out as rows of so many columns, one map after the other."""
        rows = []
        for source in sources:
            count = int(np.prod(source.shape)) // columns
            out = self._activation((1, count, columns), source.scale, source.zero)
            shape = np.array(out.shape, np.int32)
            options = self._fb.ReshapeOptionsT()
            options.newShape = shape
            self._operate(
                "RESHAPE", "ReshapeOptions", options,
                [source.index, self._tensor(shape.shape, shape.dtype, data=shape)], out,
            )  # fmt: skip
            rows.append(out)
        options = self._fb.ConcatenationOptionsT()
        options.axis = 1
        first = rows[0]
        whole = self._activation(
            (1, sum(r.shape[1] for r in rows), columns), first.scale, first.zero
        )
        self._operate(
            "CONCATENATION", "ConcatenationOptions", options, [r.index for r in rows], whole,
            version=2 if self._int8 else 1,
        )  # fmt: skip
        return whole

    def softmax(self, source: Tensor) -> Tensor:
        """Turn the last axis into probabilities."""
        options = self._fb.SoftmaxOptionsT()
        options.beta = 1.0
        out = self._activation(source.shape, 1 / 256, -128)
        self._operate("SOFTMAX", "SoftmaxOptions", options, [source.index], out, version=2)
        return out

    def finish(self, source: Tensor, *results: Tensor) -> bytes:
        """Return the file."""
        self._graph.inputs = [source.index]
        self._graph.outputs = [out.index for out in results]
        self._builder.Finish(self._model.Pack(self._builder), b"TFL3")
        return bytes(self._builder.Output())

    def _pool(self, operator: str, source: Tensor, size: int, stride: int, padding: str) -> Tensor:
        options = self._fb.Pool2DOptionsT()
        options.padding = getattr(self._fb.Padding, padding)
        options.strideW = options.strideH = stride
        options.filterWidth = options.filterHeight = size
        side = 1 if padding == "VALID" else -(-source.side // stride)
        out = self._activation((1, side, side, source.channels), source.scale, source.zero)
        self._operate(operator, "Pool2DOptions", options, [source.index], out, version=2)
        return out

    def _constant(self, value: float) -> Tensor:
        data = np.full((1, 1, 1, 1), value, np.float32)
        return Tensor(
            index=self._tensor(data.shape, data.dtype, data=data), shape=(1, 1, 1, 1),
            scale=_FREE, zero=0,
        )  # fmt: skip

    def _activation(self, shape: tuple[int, ...], scale: float, zero: int) -> Tensor:
        dtype: np.dtype[Any] = np.dtype(np.int8 if self._int8 else np.float32)
        return Tensor(
            index=self._tensor(shape, dtype, [scale], zero=zero),
            shape=shape,
            scale=scale,
            zero=zero,
        )

    def _weights(
        self, real: NDArray[np.float32], source: Tensor, *, depthwise: bool
    ) -> tuple[int, int]:
        """Add weights and bias; int8 ones have a scale for each output channel."""
        axis = 3 if depthwise else 0
        channels = real.shape[axis]
        if not self._int8:
            bias = np.zeros(channels, np.float32)
            return (
                self._tensor(real.shape, real.dtype, data=real),
                self._tensor(bias.shape, bias.dtype, data=bias),
            )
        others = tuple(i for i in range(4) if i != axis)
        scales = np.abs(real).max(axis=others) / 127
        spread = scales.reshape([-1 if i == axis else 1 for i in range(4)])
        whole = np.rint(real / spread).astype(np.int8)
        zeros = np.zeros(channels, np.int32)
        weights = self._tensor(whole.shape, whole.dtype, scales.tolist(), axis=axis, data=whole)
        bias_scales = (scales * source.scale).tolist()
        return weights, self._tensor(zeros.shape, zeros.dtype, bias_scales, data=zeros)

    def _tensor(
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
        self,
        name: str,
        kind: str,
        options: object,
        ins: list[int],
        out: Tensor,
        *,
        version: int = 1,
    ) -> None:
        fb = self._fb
        operator = fb.OperatorT()
        operator.opcodeIndex = self._code(name, version)
        operator.inputs, operator.outputs = ins, [out.index]
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(fb.BuiltinOptions, kind)
        self._graph.operators.append(operator)

    def _code(self, name: str, version: int) -> int:
        if (name, version) not in self._codes:
            code = self._fb.OperatorCodeT()
            code.builtinCode = getattr(self._fb.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = version
            self._model.operatorCodes.append(code)
            self._codes[name, version] = len(self._model.operatorCodes) - 1
        return self._codes[name, version]

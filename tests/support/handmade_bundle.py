"""Models and bundles made by hand, small enough that their answers can be reasoned out."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as fb

from edge.bundle.loader import bundle_id
from edge.bundle.manifest import MANIFEST_NAME, SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")
TYPES = {"int8": fb.TensorType.INT8, "int32": fb.TensorType.INT32}


class ModelFile:
    """Writes a TFLite file of int8 operators."""

    def __init__(self) -> None:
        self.model = fb.ModelT()
        self.model.version = 3
        self.model.buffers = [fb.BufferT()]
        self.model.operatorCodes = []
        self.graph = fb.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self.model.subgraphs = [self.graph]

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        scale: float,
        zero: int = 0,
        data: NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor; with data it is a constant."""
        tensor = fb.TensorT()
        tensor.name, tensor.shape = name, list(shape)
        tensor.shapeSignature = [-1, *shape[1:]] if data is None else list(shape)
        tensor.type = TYPES["int8" if data is None else str(data.dtype)]
        tensor.quantization = fb.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        if data is not None:
            buffer = fb.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def op(self, code: int, options: object, kind: int, ins: list[int], out: int) -> int:
        """Add an operator."""
        known = fb.OperatorCodeT()
        known.builtinCode = known.deprecatedBuiltinCode = code
        known.version = 4 if code == fb.BuiltinOperator.FULLY_CONNECTED else 2
        self.model.operatorCodes.append(known)
        operator = fb.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = ins, [out]
        operator.builtinOptions, operator.builtinOptionsType = options, kind
        self.graph.operators.append(operator)
        return out

    def dense(self, source: int, weights: NDArray[np.int8], scale: float, out: int) -> int:
        """Add ``out = weights @ source``; ``weights`` is ``(units, inputs)``."""
        fed = self.graph.tensors[source].quantization.scale[0]
        units = len(weights)
        w = self.tensor(f"w{out}", weights.shape, scale, data=weights)
        b = self.tensor(f"b{out}", (units,), scale * fed, data=np.zeros(units, np.int32))
        return self.op(
            fb.BuiltinOperator.FULLY_CONNECTED,
            fb.FullyConnectedOptionsT(),
            fb.BuiltinOptions.FullyConnectedOptions,
            [source, w, b],
            out,
        )

    def add(self, one: int, other: int, out: int) -> int:
        """Add ``out = one + other``."""
        return self.op(
            fb.BuiltinOperator.ADD,
            fb.AddOptionsT(),
            fb.BuiltinOptions.AddOptions,
            [one, other],
            out,
        )

    def write(self, inputs: list[int], outputs: list[int]) -> bytes:
        """Return the file."""
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def bright_side_model(*, second_head: bool = False) -> bytes:
    """See happy where the left half is bright, sad where the right half is.

    A second head sees anger where the left half is bright.
    """
    file = ModelFile()
    picture = file.tensor("picture", (1, 48, 48, 1), 1 / 64)
    weights = np.zeros((8, 48, 48), np.int8)
    weights[3, :, :24] = 1
    weights[4, :, 24:] = 1
    logits = file.tensor("logits", (1, 8), 1 / 16)
    file.dense(picture, weights.reshape(8, -1), 1 / 512, logits)
    if not second_head:
        return file.write([picture], [logits])
    angry = np.zeros((7, 48, 48), np.int8)
    angry[0, :, :24] = 1
    second = file.tensor("fer2013", (1, 7), 1 / 16)
    file.dense(picture, angry.reshape(7, -1), 1 / 512, second)
    return file.write([picture], [logits, second])


def adding_model() -> bytes:
    """Add up its one channel in ``c``; the sum is the logit of happy."""
    file = ModelFile()
    x = file.tensor("channels", (1, 1), 1 / 16)
    h, c = (file.tensor(name, (1, 1), 1 / 16) for name in ("h", "c"))
    new_h, new_c = (file.tensor(name, (1, 1), 1 / 16) for name in ("new_h", "new_c"))
    logits = file.tensor("logits", (1, 8), 1 / 16)
    file.add(c, x, new_c)
    file.add(h, x, new_h)
    weights = np.zeros((8, 1), np.int8)
    weights[3] = 1
    file.dense(new_c, weights, 1.0, logits)
    return file.write([x, h, c], [logits, new_h, new_c])


def spec(role: str, name: str, shape: tuple[int, ...], scale: float) -> dict[str, Any]:
    """Return a tensor as the manifest describes it."""
    return {
        "role": role,
        "name": name,
        "shape": list(shape),
        "dtype": "int8",
        "scale": scale,
        "zero_point": 0,
    }


def cnn_member(name: str = "cnn_a", **changes: Any) -> dict[str, Any]:
    """Describe `bright_side_model`."""
    return {
        "name": name,
        "kind": "cnn",
        "file": f"{name}.tflite",
        "quantisation": "int8",
        "multiply_adds": 8 * 48 * 48,
        "inputs": [spec("picture", "picture", (1, 48, 48, 1), 1 / 64)],
        "outputs": [spec("logits", "logits", (1, 8), 1 / 16)],
        "labels": list(LABELS),
        "preprocessing": "grey48-standardised",
        **changes,
    }


def two_headed_member(name: str = "cnn_a", **changes: Any) -> dict[str, Any]:
    """Describe `bright_side_model` with its second head."""
    outputs = [spec("logits", "logits", (1, 8), 1 / 16), spec("fer2013", "fer2013", (1, 7), 1 / 16)]
    return cnn_member(name, outputs=outputs, fer2013_temperature=1.0, **changes)


def lstm_member(name: str = "lstm_a", **changes: Any) -> dict[str, Any]:
    """Describe `adding_model`, fed with the mean of the two smile blendshapes."""
    return {
        "name": name,
        "kind": "lstm",
        "file": f"{name}.tflite",
        "quantisation": "int8",
        "multiply_adds": 8,
        "inputs": [
            spec("channels", "channels", (1, 1), 1 / 16),
            spec("state_h", "h", (1, 1), 1 / 16),
            spec("state_c", "c", (1, 1), 1 / 16),
        ],
        "outputs": [
            spec("logits", "logits", (1, 8), 1 / 16),
            spec("state_h", "new_h", (1, 1), 1 / 16),
            spec("state_c", "new_c", (1, 1), 1 / 16),
        ],
        "labels": list(LABELS),
        "preprocessing": "channels",
        "channels": {
            "blendshapes": ["mouthSmileLeft"],
            "pose": False,
            "log_floor": None,
            "mean": [0.0],
            "std": [1.0],
            "subtract_neutral": False,
        },
        "step_s": 0.1,
        **changes,
    }


def write_bundle(folder: Path, *members: dict[str, Any], **changes: Any) -> Path:
    """Write a valid bundle of handmade models; ``changes`` go into the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = []
    for member in members or (cnn_member(), lstm_member()):
        content = adding_model()
        if member["kind"] == "cnn":
            two = member.get("fer2013_temperature") is not None
            content = bright_side_model(second_head=two)
        (folder / member["file"]).write_bytes(content)
        whole.append(
            {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content), **member}
        )
    data = {
        "schema": SCHEMA,
        "name": "handmade",
        "members": whole,
        "training_data": ["none: weights set by hand"],
        "calibration_data": "none",
        "licence": "Apache-2.0",
        "software": "emoshift tests",
        **changes,
    }
    write_manifest(folder, data)
    return folder


def write_manifest(folder: Path, data: dict[str, Any]) -> None:
    """Write manifest data with the id that fits it."""
    data = {**data, "bundle_id": bundle_id(data)}
    (folder / MANIFEST_NAME).write_text(json.dumps(data, indent=1))

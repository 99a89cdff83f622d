"""The TFLite runtime behind one narrow waist; the only module that names its vendors.

`ai_edge_litert` is used where it is installed, else its predecessor `tflite_runtime` (Python 3.11
and numpy 1 only; its int8 kernels are slower).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from edge.native_stderr import quiet_native
from emoshift.errors import BundleError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """Name, shape, type and quantisation of one input or output of a loaded model."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of a loaded model.

    Attributes:
        name: The builtin's name, such as ``CONV_2D``.
        inputs: Shape of each input, weights included; ``()`` for an absent one.
        outputs: Shape of each output.
        delegated: Whether an accelerating delegate (XNNPACK) computes it.
    """

    name: str
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    delegated: bool


def _interpreter_class() -> tuple[Any, str]:
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, "ai-edge-litert"
    except ImportError:
        pass
    try:
        from tflite_runtime.interpreter import Interpreter

        return Interpreter, "tflite-runtime"
    except ImportError as why:
        raise UnavailableError(
            f"no TFLite runtime ({why}): install ai-edge-litert, or tflite-runtime on Python 3.11"
            " with numpy 1"
        ) from why


def runtime_name() -> str:
    """Name and version of the runtime in use, such as ``ai-edge-litert 2.3.0``."""
    _, name = _interpreter_class()
    return f"{name} {metadata.version(name)}"


class TFLiteModel:
    """One loaded model with its own working memory; not for two threads at a time.

    Args:
        source: Path of the ``.tflite`` file, or its bytes (kept alive by this object).
        threads: Threads the runtime may use.

    Raises:
        BundleError: The file is not a model this runtime can run.
        UnavailableError: No runtime is installed.
    """

    def __init__(self, source: Path | bytes, *, threads: int = 1) -> None:
        interpreter_class, _ = _interpreter_class()
        given = (
            {"model_content": source} if isinstance(source, bytes) else {"model_path": str(source)}
        )
        name = "model" if isinstance(source, bytes) else str(source)
        try:
            with quiet_native():  # each model would announce its delegate otherwise
                self._interpreter = interpreter_class(**given, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as why:
            raise BundleError(f"{name}: not a model this runtime can run: {why}") from why
        self._read_details()

    def _read_details(self) -> None:
        self.inputs = tuple(_info(d) for d in self._interpreter.get_input_details())
        self.outputs = tuple(_info(d) for d in self._interpreter.get_output_details())

    def resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Give inputs another shape (a batch of faces, say), all of them before one allocation.

        Args:
            shapes: The new shape by the input's name; inputs not named keep theirs.
        """
        for info in self.inputs:
            if info.name in shapes:
                self._interpreter.resize_tensor_input(
                    info.index, list(shapes[info.name]), strict=False
                )
        self._interpreter.allocate_tensors()
        self._read_details()

    def run(self, feeds: Mapping[int, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Run the model once.

        Args:
            feeds: Array for each input, by the input's position in `inputs`; shape and type must
                be the input's.

        Returns:
            A copy of each output, in the order of `outputs`.
        """
        for position, array in feeds.items():
            self._interpreter.set_tensor(self.inputs[position].index, array)
        self._interpreter.invoke()
        return tuple(self._interpreter.get_tensor(o.index) for o in self.outputs)

    def operators(self) -> tuple[Operator, ...]:
        """Return the operators in the order of the file; for inspection, not for the frame path."""
        nodes = self._interpreter._get_ops_details()  # noqa: SLF001 - the runtime has no other way
        shapes = {
            d["index"]: tuple(int(n) for n in d["shape"])
            for d in self._interpreter.get_tensor_details()
        }
        plain = [n for n in nodes if n["op_name"] != "DELEGATE"]
        alone = _undelegated(
            plain,
            [n for n in nodes if n["op_name"] == "DELEGATE"],
            [o.index for o in self.outputs],
        )
        return tuple(
            Operator(
                name=str(n["op_name"]),
                inputs=tuple(shapes.get(int(i), ()) for i in n["inputs"]),
                outputs=tuple(shapes.get(int(i), ()) for i in n["outputs"]),
                delegated=n["index"] not in alone,
            )
            for n in plain
        )


def _undelegated(
    plain: list[dict[str, Any]], delegates: list[dict[str, Any]], outputs: list[int]
) -> set[int]:
    """Walk back from the outputs; what no delegate gives, its own operator computes."""
    makers = {int(t): node for node in plain for t in node["outputs"]}
    makers |= {int(t): node for node in delegates for t in node["outputs"]}
    own: set[int] = set()
    wanted, seen = list(outputs), set(outputs)
    while wanted:
        node = makers.get(wanted.pop())
        if node is None:
            continue
        if node["op_name"] != "DELEGATE":
            own.add(node["index"])
        fresh = {int(t) for t in node["inputs"]} - seen
        seen |= fresh
        wanted += fresh
    return own


def _info(details: Mapping[str, Any]) -> TensorInfo:
    scales: NDArray[np.float32] = details["quantization_parameters"]["scales"]
    zeros: NDArray[np.int32] = details["quantization_parameters"]["zero_points"]
    quantised = len(scales) == 1
    return TensorInfo(
        index=int(details["index"]),
        name=str(details["name"]),
        shape=tuple(int(n) for n in details["shape"]),
        dtype=str(details["dtype"].__name__),
        scale=float(scales[0]) if quantised else None,
        zero_point=int(zeros[0]) if quantised else None,
    )

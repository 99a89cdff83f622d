"""The converting process: Keras in, TFLite out; alone in importing TensorFlow.

Started by `convert.converter` as ``python -m convert.tensorflow_worker FOLDER``. The folder holds
the job and the calibration samples, and gets the models, or the reason why there are none.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from convert.converter import CONVERTED, REFERENCE, ConversionJob
from convert.lstm_step import (
    CLIPPED,
    GATES,
    STRETCH,
    UNIT,
    Ranges,
    Weights,
    choose_ranges,
    run_sequence,
)
from edge.standardise import CROP_SIDE_PX, INPUT_SCALE, MIDDLE
from emoshift.emotions import Emotion
from emoshift.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

FLOAT_TOLERANCE: Final = 1e-3
"""Logits of the float reference may differ this much from those Keras computes."""


PICTURE_OUTPUTS: Final = ("logits", "fer2013")
SMALL_FACE_OUTPUTS: Final = ("points", "shapes", "presence")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForm:
    """A network as the converter takes it.

    Attributes:
        model: A Keras model, or whatever keeps the function's constants alive.
        function: A concrete function; ``None`` converts the Keras model itself.
        roles: Role of each input and output by its name in the signature.
    """

    model: Any
    function: Any = None
    roles: Mapping[str, str] = field(default_factory=dict)


def _main(folder: Path) -> int:
    job = ConversionJob(**json.loads((folder / "job.json").read_text(encoding="utf-8")))
    result: dict[str, Any]
    try:
        result = _convert(job, np.load(folder / "samples.npy"), folder)
    except InputError as why:
        result = {"error": str(why)}
    except UnavailableError as why:
        result = {"error": str(why), "unavailable": True}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 1 if "error" in result else 0


def _convert(job: ConversionJob, samples: NDArray[Any], folder: Path) -> dict[str, Any]:
    try:
        import keras
        import tensorflow as tf
    except ImportError as why:
        raise UnavailableError(
            f"converting needs TensorFlow ({why}); install the training lock,"
            " pip install -r requirements/train.txt"
        ) from why
    tf.config.threading.set_intra_op_parallelism_threads(2)
    model = _load(job, keras)
    if job.kind == "lstm":
        plain, exact, feeds, check = _recurrent_forms(tf, model, samples)
    else:
        names = SMALL_FACE_OUTPUTS if job.kind == "small_face" else PICTURE_OUTPUTS
        plain, exact, feeds, check = _picture_forms(keras, model, samples, names)
    reference, reference_roles = _write(tf, plain, "float32", feeds)
    _check_reference(tf, reference, reference_roles, check)
    converted, roles = reference, reference_roles
    if job.precision != "float32":
        converted, roles = _write(tf, exact, job.precision, feeds)
    (folder / REFERENCE).write_bytes(reference)
    (folder / CONVERTED).write_bytes(converted)
    return {
        "roles": roles,
        "reference_roles": reference_roles,
        "software": f"tensorflow {tf.__version__}, keras {keras.__version__}",
    }


def _load(job: ConversionJob, keras: Any) -> Any:
    path = Path(job.source)
    if not path.exists():
        raise InputError("no such file; give a .keras file, or train one with 'train'")
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as why:
        raise InputError(f"not a network Keras {keras.__version__} reads: {_line(why)}") from why
    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise InputError(f"weight {weight.path} holds NaN or infinity; train it again")
    if len(model.inputs) != 1:
        raise InputError(f"{len(model.inputs)} inputs, expected one")
    if job.kind == "small_face":
        return keras.Model(model.inputs, [_head(model, name) for name in SMALL_FACE_OUTPUTS])
    output = _head(model, job.head)
    if job.kind == "cnn":
        side = CROP_SIDE_PX
        if tuple(model.inputs[0].shape[1:]) != (side, side, 1):
            found = "x".join("?" if n is None else str(n) for n in model.inputs[0].shape[1:])
            raise InputError(
                f"reads pictures of {found}, expected {side}x{side}x1; save it with fixed sides"
            )
    if output.shape[-1] != job.classes:
        raise InputError(
            f"{output.shape[-1]} outputs, but the recipe and the calibration set have"
            f" {job.classes} labels"
        )
    return keras.Model(model.inputs, [output, *_second_head(model, job)])


def _second_head(model: Any, job: ConversionJob) -> list[Any]:
    if job.second_head is None:
        return []
    second = _head(model, job.second_head)
    if second.shape[-1] != len(Emotion):
        raise InputError(
            f"its layer {job.second_head} has {second.shape[-1]} outputs, expected the"
            f" {len(Emotion)} emotions of FER2013"
        )
    return [second]


def _head(model: Any, name: str | None) -> Any:
    layers = {layer.name: layer for layer in model.layers}
    if name is not None and name in layers:
        return layers[name].output
    if len(model.outputs) == 1:
        return model.outputs[0]
    known = [t._keras_history.operation.name for t in model.outputs]  # noqa: SLF001 - no other way
    asked = f"no layer {name!r}" if name else f"{len(known)} outputs and no head chosen"
    raise InputError(f"{asked}; its outputs are {', '.join(known)}")


def _picture_forms(
    keras: Any,
    model: Any,
    crops: NDArray[np.uint8],
    names: tuple[str, ...],
) -> tuple[ModelForm, ModelForm, Callable[[], Iterator[dict[str, NDArray[Any]]]], dict[str, Any]]:
    pictures = ((crops.astype(np.float32) - MIDDLE) * np.float32(INPUT_SCALE))[..., None]
    [source] = [tensor.name.split(":")[0] for tensor in model.inputs]

    def feeds() -> Iterator[dict[str, NDArray[Any]]]:
        for picture in pictures:
            yield {source: picture[None]}

    few = pictures[:16]
    outputs = model(few, training=False)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    heads = dict(zip(names, map(np.asarray, outputs), strict=False))
    check = {"feeds": {"picture": few}, "outputs": heads}
    roles = {f"output_{place}": role for place, role in enumerate(heads)}
    plain = ModelForm(model=model, roles={source: "picture", **roles})
    exact = replace(plain, model=_without_pooling(keras, model))
    return plain, exact, feeds, check


def _recurrent_forms(
    tf: Any,
    model: Any,
    channels: NDArray[np.float32],
) -> tuple[ModelForm, ModelForm, None, dict[str, Any]]:
    """Rebuild one step of the network, its states as inputs and outputs.

    The fused LSTM cannot be converted to int8 (the converter dies) and keeps its state to itself,
    which does not fit many faces. A rounded step names the range of every tensor, so that what
    comes out as a state can go in again unchanged.
    """
    weights = _step_weights(model)
    few = channels[:4]
    expected = np.asarray(model(few, training=False))
    off = float(np.abs(run_sequence(weights, few) - expected).max())
    if not off <= FLOAT_TOLERANCE:
        raise InputError(
            f"one step at a time differs from the whole sequence by {off:.2g} in a logit; only an"
            " LSTM with tanh and sigmoid and a dense layer after it can be exported"
        )
    plain = ModelForm(model=tf.Module(), function=_step_function(tf, weights, None))
    exact = replace(plain, function=_step_function(tf, weights, choose_ranges(weights, channels)))
    rest = np.zeros((len(few), weights.units), np.float32)
    feeds = {"channels": few[:, 0], "state_h": rest, "state_c": rest}
    return plain, exact, None, {"feeds": feeds, "outputs": {"logits": expected[:, 0]}}


def _step_weights(model: Any) -> Weights:
    layers = [layer for layer in model.layers if layer.weights]
    if [type(layer).__name__ for layer in layers] != ["LSTM", "Dense"]:
        found = ", ".join(type(layer).__name__ for layer in layers)
        raise InputError(f"its layers with weights are {found}; expected one LSTM, then one Dense")
    arrays = [w for layer in layers for w in layer.get_weights()]
    if len(arrays) != len(fields(Weights)):
        raise InputError("its LSTM or Dense layer has no bias; keep the bias, zero if need be")
    return Weights(
        **dict(
            zip(
                ("kernel", "recurrent", "bias", "dense", "dense_bias"),
                arrays,
                strict=True,
            )
        )
    )


def _step_function(tf: Any, weights: Weights, ranges: Ranges | None) -> Any:
    """Return the graph of `convert.lstm_step.run_sequence`'s step, with the same rounding."""

    def put(value: Any, step: float, zero: int = 0) -> Any:
        if ranges is None:
            return value
        low, high = (-128 - zero) * step, (127 - zero) * step
        return tf.quantization.fake_quant_with_min_max_args(value, min=low, max=high, num_bits=8)

    def held(value: Any, name: str) -> Any:
        return put(value, *ranges.grid(name)) if ranges is not None else value

    width = weights.kernel.shape[0]

    @tf.function(  # type: ignore[untyped-decorator] # TensorFlow has no types
        input_signature=[
            tf.TensorSpec((None, width), tf.float32, name="channels"),
            tf.TensorSpec((None, weights.units), tf.float32, name="state_h"),
            tf.TensorSpec((None, weights.units), tf.float32, name="state_c"),
        ]
    )
    def step(channels: Any, state_h: Any, state_c: Any) -> dict[str, Any]:
        x = put(put(channels, CLIPPED) * (1.0 / STRETCH), UNIT)
        before = held(state_c, "state_c")
        both = put(tf.concat([x, put(state_h, UNIT)], axis=1), UNIT)
        z = {}
        for name in GATES:
            matrix, bias = weights.gate(name)
            z[name] = held(tf.matmul(both, matrix) + bias, name)
        gate = {n: put(tf.sigmoid(z[n]), 1 / 256, -128) for n in ("input", "forget", "output")}
        kept = held(gate["forget"] * before, "state_c")
        fresh = put(gate["input"] * put(tf.tanh(z["cell"]), UNIT), UNIT)
        after = held(kept + fresh, "state_c")
        shown = put(gate["output"] * put(tf.tanh(after), UNIT), UNIT)
        logits = held(tf.matmul(shown, weights.dense) + weights.dense_bias, "logits")
        return {"logits": logits, "state_h": shown, "state_c": after}

    return step.get_concrete_function()


def _without_pooling(keras: Any, model: Any) -> Any:
    """Write average pooling as a depthwise convolution: the same mean, and XNNPACK takes it.

    Where a window reaches over the edge, pooling divides by fewer pixels, and the convolution,
    which sees zeros there, is scaled up.
    """
    scales: dict[str, NDArray[np.float32]] = {}

    def swap(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.AveragePooling2D):
            return layer.__class__.from_config(layer.get_config())
        scales[layer.name] = scale = _scale_at_edges(keras, layer)
        convolution = _depthwise(keras, layer)
        if (scale == 1.0).all():
            return convolution
        scaled = keras.layers.Lambda(lambda x: x * scale)
        return keras.Sequential([convolution, scaled], name=layer.name)

    copy = keras.models.clone_model(model, clone_function=swap)
    for layer in model.layers:
        if layer.name in scales:
            kernel = copy.get_layer(layer.name).weights[0]
            kernel.assign(np.full(kernel.shape, 1.0 / np.prod(layer.pool_size), np.float32))
        else:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _depthwise(keras: Any, pooling: Any) -> Any:
    return keras.layers.DepthwiseConv2D(
        pooling.pool_size,
        strides=pooling.strides,
        padding=pooling.padding,
        use_bias=False,
        name=pooling.name,
    )


def _scale_at_edges(keras: Any, pooling: Any) -> NDArray[np.float32]:
    """Pixels of a whole window over those of each window that lie inside, ``(h, w, 1)``."""
    ones = np.ones((1, *pooling.input.shape[1:3], 1), np.float32)
    counted = keras.layers.DepthwiseConv2D(
        pooling.pool_size,
        strides=pooling.strides,
        padding=pooling.padding,
        use_bias=False,
        depthwise_initializer="ones",
    )(ones)
    return np.asarray(float(np.prod(pooling.pool_size)) / np.asarray(counted)[0], np.float32)


def _write(
    tf: Any,
    form: ModelForm,
    precision: str,
    feeds: Callable[[], Iterator[dict[str, NDArray[Any]]]] | None,
) -> tuple[bytes, dict[str, str]]:
    if form.function is not None:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([form.function], form.model)
    else:
        converter = tf.lite.TFLiteConverter.from_keras_model(form.model)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        if feeds is not None:  # a recurrent step brings its ranges along
            converter.representative_dataset = feeds
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        content: bytes = converter.convert()
    except Exception as why:  # whatever it raises ends up in one line
        raise InputError(f"cannot be converted to {precision}: {_reason(why)}") from why
    return content, _roles(tf, content, form)


def _roles(tf: Any, content: bytes, form: ModelForm) -> dict[str, str]:
    """Read the tensor names behind the signature's names."""
    interpreter = tf.lite.Interpreter(model_content=content)
    details = {d["index"]: d["name"] for d in interpreter.get_tensor_details()}
    signature = interpreter._get_full_signature_list()["serving_default"]  # noqa: SLF001 - no other
    return {
        **{f"in:{form.roles.get(n, n)}": details[i] for n, i in signature["inputs"].items()},
        **{f"out:{form.roles.get(n, n)}": details[i] for n, i in signature["outputs"].items()},
    }


def _check_reference(
    tf: Any,
    content: bytes,
    roles: Mapping[str, str],
    check: Mapping[str, Any],
) -> None:
    interpreter = tf.lite.Interpreter(model_content=content)
    by_name = {d["name"]: d["index"] for d in interpreter.get_input_details()}
    for role, array in check["feeds"].items():
        interpreter.resize_tensor_input(by_name[roles[f"in:{role}"]], array.shape)
    interpreter.allocate_tensors()
    for role, array in check["feeds"].items():
        interpreter.set_tensor(by_name[roles[f"in:{role}"]], array)
    interpreter.invoke()
    outputs = {d["name"]: d["index"] for d in interpreter.get_output_details()}
    for role, expected in check["outputs"].items():
        found = interpreter.get_tensor(outputs[roles[f"out:{role}"]])
        off = float(np.abs(found - expected).max())
        if not off <= FLOAT_TOLERANCE:
            raise InputError(f"its float TFLite form differs from Keras by {off:.2g} in a logit")


def _reason(why: BaseException) -> str:
    """Pick the line of a converter's report that names the operator."""
    lines = [line.strip() for line in str(why).splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or "not supported" in line.lower()]
    return (errors or lines or [type(why).__name__])[0][:300]


def _line(why: BaseException) -> str:
    return " ".join(str(why).split())[:200]


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))

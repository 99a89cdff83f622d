"""A trained network on disk: how it is opened, and what stands beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from scipy.special import log_softmax

from edge.bundle.loader import load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from edge.classifier.member import Network
from edge.litert import TensorInfo, TFLiteModel
from edge.standardise import INPUT_SCALE, MIDDLE
from emoshift.errors import InputError
from train.backend import load_keras
from train.huggingface.names import is_classifier, require_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from edge.bundle.manifest import ChannelTransform
    from train.data.ferplus import LabelSet
    from train.features.blendshape_inputs import BlendshapeInputs, Scaling
    from train.recipe import SingleHeadRecipe

_BATCH: Final = 256

HEADS: Final = {8: "ferplus", 7: "fer2013"}
"""Heads of image networks, by their number of classes."""

Scorer: TypeAlias = "Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]"
"""Turns network inputs ``(n, 48, 48, 1)`` into logits by head name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetCard:
    """What stands beside a network with one head, as ``.json``.

    Attributes:
        labels: Label set it was trained on.
        chosen: The selection's ``classes``, by which labels become the network's.
        classes: Names of its outputs.
        features: What it reads of an image's blendshapes; ``None`` for one that sees pixels.
        scaling: Of those features.
    """

    labels: LabelSet
    chosen: tuple[str, ...]
    classes: tuple[str, ...]
    features: BlendshapeInputs | None = None
    scaling: Scaling | None = None


def open_scorer(path: Path) -> Scorer:
    """Open a ``.keras`` or ``.tflite`` file, a model bundle, or a Hugging Face classifier.

    Of a bundle the image members answer together, with its views, temperatures and weights.

    Raises:
        BundleError: A bundle that the device would refuse.
        InputError: It is none of these.
        UnavailableError: A classifier, without torch and transformers.
    """
    if (path / MANIFEST_NAME).exists():
        return _bundle_scorer(path)
    if is_classifier(path):
        require_torch()
        from train.huggingface.classifier import open_classifier

        return open_classifier(path).predict
    if not path.exists():
        raise InputError(f"{path}: no such file; expected a .keras or .tflite network")
    if path.suffix == ".keras":
        model = load_model(path)
        _require_images(path, [tuple(one.shape) for one in model.inputs])
        return lambda inputs: _keras_logits(model, inputs)
    if path.suffix == ".tflite":
        lite = TFLiteModel(path, threads=2)
        _require_images(path, [one.shape for one in lite.inputs])
        return lambda inputs: _lite_logits(lite, inputs)
    raise InputError(f"{path}: found {path.suffix or 'no suffix'}, expected .keras or .tflite")


def _require_images(path: Path, shapes: Sequence[Sequence[int | None]]) -> None:
    """Raise `InputError` for a network that takes anything but one 48x48 grey image."""
    wanted = (48, 48, 1)
    fits = (
        len(shapes) == 1
        and len(shapes[0]) == 4
        and all(size in (None, side) for size, side in zip(shapes[0][1:], wanted, strict=True))
    )
    if not fits:
        taken = ", ".join(str(tuple(shape[1:])) for shape in shapes)
        raise InputError(f"{path}: takes {taken}, expected images {wanted}")


def views_of(path: Path, *, mirrored: bool) -> str:
    """Say in words which views of an image a figure rests on."""
    own = "the bundle's own views" if (path / MANIFEST_NAME).exists() else "one view"
    return "both mirror views" if mirrored else own


def _bundle_scorer(folder: Path) -> Scorer:
    bundle = load_bundle(folder)
    networks = [
        Network(member, bundle.contents[member.name], threads=2)
        for member in bundle.manifest.members
        if member.kind == "cnn" and member.weight > 0
    ]
    two_heads = all(network.has_second_head for network in networks)

    def score(inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        grey = np.rint(inputs[..., 0] / INPUT_SCALE + MIDDLE)
        crops = np.clip(grey, 0, 255).astype(np.uint8)
        pooled: dict[str, NDArray[np.float32]] = {}
        for network in networks:
            member = network.member
            heads = {"ferplus": ("logits", member.temperature)}
            if two_heads:
                heads["fer2013"] = ("fer2013", member.fer2013_temperature or 1.0)
            found = [
                network.logits(crops[i : i + _BATCH], mirror=member.mirrored)
                for i in range(0, len(crops), _BATCH)
            ]
            for head, (role, temperature) in heads.items():
                logits = np.concatenate([each[role] for each in found]) / temperature
                share = member.weight * log_softmax(logits, axis=1)
                pooled[head] = pooled.get(head, np.float32(0)) + share
        return pooled

    return score


def load_model(path: Path) -> keras.Model:
    """Load a ``.keras`` file for prediction; raises `InputError` for anything else."""
    if path.suffix != ".keras" or not path.exists():
        raise InputError(f"{path}: no such file; expected a .keras network")
    try:
        return load_keras().saving.load_model(path, compile=False)
    except (OSError, ValueError, KeyError, TypeError) as why:
        first = next(iter(str(why).strip().splitlines()), type(why).__name__)
        raise InputError(f"{path}: not a Keras file ({first})") from why


def read_weights(path: Path) -> list[NDArray[np.float32]]:
    """Return a ``.keras`` network's weights; raises `InputError` for anything else."""
    weights: list[NDArray[np.float32]] = load_model(path).get_weights()
    return weights


def write_net_card(path: Path, card: NetCard, recipe: SingleHeadRecipe) -> None:
    """Write what must stand beside a network with one head."""
    values: dict[str, Any] = {
        "model": recipe.model,
        "seed": recipe.seed,
        "labels": card.labels,
        "chosen": card.chosen,
        "classes": card.classes,
    }
    if card.features is not None and card.scaling is not None:
        values["features"] = card.features.model_dump(mode="json")
        values["mean"] = [round(float(value), 6) for value in card.scaling.mean]
        values["std"] = [round(float(value), 6) for value in card.scaling.std]
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_net_card(net: Path) -> NetCard | None:
    """Return what stands beside a network with one head; ``None`` beside any other.

    Raises:
        InputError: The file beside it cannot be read.
    """
    values = _beside(net)
    if values is None or "classes" not in values:
        return None
    features = scaling = None
    try:
        if "features" in values:
            from train.features.blendshape_inputs import BlendshapeInputs, Scaling

            features = BlendshapeInputs.model_validate(values["features"])
            scaling = Scaling(
                mean=np.array(values["mean"], np.float32), std=np.array(values["std"], np.float32)
            )
        return NetCard(
            labels=values["labels"],
            chosen=tuple(values["chosen"]),
            classes=tuple(values["classes"]),
            features=features,
            scaling=scaling,
        )
    except (KeyError, ValueError, TypeError) as why:
        raise InputError(f"{net.with_suffix('.json')}: not what training wrote ({why})") from why


def read_channel_transform(net: Path) -> ChannelTransform | None:
    """Return the channels a recurrent network reads, from beside it; ``None`` beside any other.

    Raises:
        InputError: The file beside it cannot be read.
    """
    values = _beside(net)
    if values is None or "channels" not in values:
        return None
    from edge.bundle.manifest import ChannelTransform

    try:
        return ChannelTransform.model_validate(values["channels"])
    except ValueError as why:
        raise InputError(f"{net.with_suffix('.json')}: not what training wrote ({why})") from why


def net_name(net: Path) -> str:
    """Name a network by its file, or by its run where the file is the run's ``net.keras``."""
    return net.parent.name if net.stem == "net" else net.stem


def net_names(nets: Sequence[Path]) -> list[str]:
    """Name several networks: by their paths where two of them would have one name.

    Raises:
        InputError: A network is named twice.
    """
    if twice := [net for i, net in enumerate(nets) if net in nets[:i]]:
        raise InputError(f"{twice[0]}: named twice")
    short = [net_name(net) for net in nets]
    return [
        name if short.count(name) == 1 else str(net) for net, name in zip(nets, short, strict=True)
    ]


def _beside(net: Path) -> dict[str, Any] | None:
    path = net.with_suffix(".json")
    if net.suffix != ".keras" or not path.exists():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as why:
        raise InputError(f"{path}: not JSON ({why})") from why
    return values


def _keras_logits(
    model: keras.Model, inputs: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    logits = model.predict(inputs, batch_size=256, verbose=0)
    if isinstance(logits, dict):
        return {head: np.asarray(value, np.float32) for head, value in logits.items()}
    if logits.shape[-1] not in HEADS:
        raise InputError(f"found {logits.shape[-1]} outputs, expected 7 or 8 emotions")
    return {HEADS[logits.shape[-1]]: np.asarray(logits, np.float32)}


def _lite_logits(lite: TFLiteModel, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    if others := [info.shape[-1] for info in lite.outputs if info.shape[-1] not in HEADS]:
        raise InputError(f"found {others[0]} outputs, expected 7 or 8 emotions")
    rows: dict[str, list[NDArray[np.float32]]] = {}
    for one in inputs:
        encoded = _encode(one[None], lite.inputs[0])
        for info, value in zip(lite.outputs, lite.run({0: encoded}), strict=True):
            rows.setdefault(HEADS[info.shape[-1]], []).append(_decode(value, info)[0])
    return {head: np.stack(values) for head, values in rows.items()}


def _encode(values: NDArray[np.float32], info: TensorInfo) -> NDArray[np.generic]:
    """Bring real values to a tensor's int8 levels, where it has such."""
    if info.scale is None or info.zero_point is None:
        return values
    limits = np.iinfo(info.dtype)
    levels = np.rint(values / np.float32(info.scale)) + info.zero_point
    return np.asarray(np.clip(levels, limits.min, limits.max), info.dtype)


def _decode(values: NDArray[np.generic], info: TensorInfo) -> NDArray[np.float32]:
    real = np.asarray(values, np.float32)
    if info.scale is None or info.zero_point is None:
        return real
    return (real - np.float32(info.zero_point)) * np.float32(info.scale)

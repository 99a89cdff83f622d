"""The network for small faces as the device runs it: int8, and what its outputs are scaled by."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from convert.converter import ConversionJob, convert_network
from edge.faces.mesh import BLENDSHAPES, POINTS
from edge.faces.small_face import LOG_FLOOR, MODEL_NAME, SCALES_NAME, SCHEMA, SmallFaceNetwork
from edge.litert import TFLiteModel
from edge.standardise import INPUT_SCALE, MIDDLE
from emoshift.errors import InputError
from train.small_face.batches import FarFaces, make_batch
from train.small_face.measure import read_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION: Final = 512
"""Faces of the Training split that the ranges of int8 are measured on."""
HELD_OUT: Final = 1024
"""Faces of PublicTest on which int8 is compared with the float network."""
MOVING: Final = 0.05
"""Blendshapes that vary by less over these faces say nothing."""
LEAST_CORRELATION: Final = 0.99
"""Of int8 with float, median over the blendshapes: below it nothing is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallFaceReport:
    """How the int8 network differs from the float one.

    Attributes:
        correlation: Of the blendshapes' levels, median over those that vary.
        points_off: Mean distance of the landmarks, sides of the crop.
        size_bytes: Of the model.
    """

    correlation: float
    points_off: float
    size_bytes: int


def convert_small_face(source: Path, out: Path, *, cache: Path) -> SmallFaceReport:
    """Convert a trained network and write it with its scales into a folder.

    Args:
        source: ``.keras`` file; the ``.json`` that training wrote must lie beside it.
        out: Gets ``small_face.tflite`` and ``small_face.json``.
        cache: Where training keeps what MediaPipe measured on FER2013's faces.

    Raises:
        InputError: A file is missing, or int8 differs too much.
        UnavailableError: TensorFlow is missing.
    """
    card = _read_card(source.with_suffix(".json"))
    # The int8 ranges have to hold for a wall too; blendshapes are compared on faces alone.
    calibration = _crops(cache / "small-face-Training.npz", CALIBRATION, plain=FarFaces().plain)
    held_out = _crops(cache / "small-face-PublicTest.npz", HELD_OUT, plain=0.0)
    made = convert_network(
        ConversionJob(
            source=str(source), kind="small_face", head=None, classes=0, precision="int8"
        ),
        calibration,
    )
    card["sha256"] = hashlib.sha256(made.model).hexdigest()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, made.model, card)
        report = _compare(folder, made.reference, held_out, card)
    if not report.correlation >= LEAST_CORRELATION:  # nor where there is none
        raise InputError(
            f"{source}: as int8 its blendshapes follow those of the float network with a"
            f" correlation of {report.correlation:.3f}, expected {LEAST_CORRELATION}"
        )
    out.mkdir(parents=True, exist_ok=True)
    _write(out, made.model, card)
    return report


def _crops(path: Path, count: int, *, plain: float) -> NDArray[np.uint8]:
    """Standardised crops of faces as far as a classroom's, the same every time.

    A share of ``plain`` shows a plain surface in place of a face.
    """
    if not path.exists():
        raise InputError(f"{path}: not measured yet; run `train run --model small_face` first")
    how = FarFaces(elsewhere=0.0, plain=plain)
    rng = np.random.default_rng(1)
    samples = read_samples(path)
    chosen = np.arange(min(count, len(samples.patches)))
    inputs, *_ = make_batch(samples, chosen, how, rng)
    crops: NDArray[np.uint8] = np.rint(inputs[..., 0] / INPUT_SCALE + MIDDLE).astype(np.uint8)
    return crops


def _compare(
    folder: Path, reference: bytes, crops: NDArray[np.uint8], card: dict[str, Any]
) -> SmallFaceReport:
    """Run both forms on the same crops."""
    points, shapes, _ = SmallFaceNetwork(folder).read(crops)
    model = TFLiteModel(reference)
    model.resize({model.inputs[0].name: (len(crops), *crops.shape[1:], 1)})
    feed = ((crops.astype(np.float32) - MIDDLE) * np.float32(INPUT_SCALE))[..., None]
    out = {array.shape[-1]: array for array in model.run({0: feed})}

    def real(name: str, width: int) -> NDArray[np.float32]:
        mean, std = (np.array(card[f"{name}_{what}"], np.float32) for what in ("mean", "std"))
        return np.asarray(out[width] * std + mean, np.float32)

    true_shapes = np.clip(np.exp(real("shapes", BLENDSHAPES)) - LOG_FLOOR, 0.0, 1.0)
    true_points = real("points", POINTS * 3).reshape(-1, POINTS, 3)
    return SmallFaceReport(
        correlation=agreement(shapes, true_shapes),
        points_off=float(np.linalg.norm((points - true_points)[..., :2], axis=-1).mean()),
        size_bytes=(folder / MODEL_NAME).stat().st_size,
    )


def agreement(shapes: NDArray[np.floating], wanted: NDArray[np.floating]) -> float:
    """Return the median over the blendshapes that vary of their correlation; levels ``(n, 52)``.

    One that stands still, though it should vary, counts as 0; NaN where none should vary.
    """
    found = [
        float(np.corrcoef(shapes[:, i], wanted[:, i])[0, 1]) if np.ptp(shapes[:, i]) > 0 else 0.0
        for i in np.flatnonzero(wanted.std(axis=0) > MOVING)
    ]
    return float(np.median(found)) if found else float("nan")


def _write(folder: Path, model: bytes, card: dict[str, Any]) -> None:
    (folder / MODEL_NAME).write_bytes(model)
    (folder / SCALES_NAME).write_text(json.dumps(card) + "\n", encoding="utf-8")


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as why:
        raise InputError(f"{path}: {why}; it must lie beside the network") from why
    if card.get("schema") != SCHEMA:
        raise InputError(f"{path}: schema is {card.get('schema')!r}, expected {SCHEMA}")
    return card

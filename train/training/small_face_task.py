"""The task of the small-face network: what MediaPipe's models say of FER2013's faces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import keras
import numpy as np
from keras import ops

from edge.faces.landmarker import Landmarker
from edge.faces.mesh import BLENDSHAPE_POINTS, POINTS
from edge.faces.small_face import LOG_FLOOR, SCHEMA
from train.data.fer2013 import fer2013_source, read_fer2013
from train.networks.small_face import build_small_face
from train.small_face.batches import FaceBatches, make_batch
from train.small_face.measure import joined, measure_faces, read_samples, write_samples
from train.training.job import TrainingJob
from train.training.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.recipe import SmallFaceRecipe
    from train.small_face.measure import FaceSamples
    from train.training.checkpoint import Checkpoint, Record
    from train.training.run_options import RunOptions
    from train.training.task import Batch

SAMPLED: Final = 4096
"""Faces that means and deviations are taken over."""
HELD_OUT: Final = 1024
"""Faces of PublicTest that every epoch is scored on, for each width."""
WIDTHS_PX: Final = (20.0, 32.0, 48.0)
EYES: Final = (33, 263)
_LINEAR: Final = 0.5
"""Share of the error on blendshapes themselves beside that of their logarithms."""


def prepare_small_face(
    recipe: SmallFaceRecipe, options: RunOptions, log: Callable[[str], None]
) -> TrainingJob:
    """Measure FER2013's faces with MediaPipe's models, or read what was measured before.

    The run gets ``net.keras`` and ``net.json``, which holds what its outputs are standardised by.

    Raises:
        InputError: The data or the landmark models are missing.
    """
    pictures, held_out = (
        measured_faces(options, split, log) for split in ("Training", "PublicTest")
    )
    clips = measured_clips(options, log)
    train = joined([pictures, *[clips] * recipe.clip_repeats])
    task, scales = small_face_task(recipe, train, held_out)

    def finish(state: Checkpoint, folder: Path) -> None:
        model = build_small_face(recipe.network)
        model.set_weights(state.export)
        model.save(folder / "net.keras")
        card = {
            "schema": SCHEMA,
            "trained_on": f"FER2013 Training, {len(pictures.patches)} faces, and"
            f" {len(clips.patches)} frames of {len(np.unique(clips.rows))} clips,"
            f" {recipe.clip_repeats} times each",
            "scores": state.history[-1],
            **{name: _rounded(values) for name, values in scales.items()},
        }
        (folder / "net.json").write_text(json.dumps(card) + "\n", encoding="utf-8")

    summary = f"{len(train.patches)} faces, {len(held_out.patches)} held out"
    return TrainingJob(task=task, summary=summary, finish=finish)


def measured_faces(options: RunOptions, split: str, log: Callable[[str], None]) -> FaceSamples:
    """Return what MediaPipe's models say of a split's faces; measured once, in ten minutes."""
    path = options.cache / f"small-face-{split}.npz"
    if not path.exists():
        from edge.assets import LANDMARKER, fetch_asset

        fer = read_fer2013(fer2013_source(options.data_folder), options.cache)
        rows = np.asarray(fer.rows(split), np.int64)
        landmarker = Landmarker(fetch_asset(LANDMARKER))
        log(f"measuring the {len(rows)} faces of {split} once; this takes some minutes")
        write_samples(path, measure_faces(fer.pixels[rows], rows, landmarker, log=log))
    return read_samples(path)


def measured_clips(options: RunOptions, log: Callable[[str], None]) -> FaceSamples:
    """Return what MediaPipe's models say of the faces in clips; measured once."""
    path = options.cache / "small-face-clips.npz"
    if not path.exists():
        from train.small_face.clips import measure_clips, training_clips

        write_samples(path, measure_clips(training_clips(options.data_folder), log=log))
    return read_samples(path)


def small_face_task(
    recipe: SmallFaceRecipe, train: FaceSamples, held_out: FaceSamples
) -> tuple[Task, dict[str, NDArray[np.float32]]]:
    """Return the task of a recipe, and the means and deviations of what the network predicts."""
    scales = _scales(recipe, train)
    batches = FaceBatches(
        samples=train, how=recipe.augmentation, batch_size=recipe.batch_size, seed=recipe.seed
    )
    asked = _held_out_batches(recipe, held_out)

    def batch(epoch: int, step: int) -> Batch:
        inputs, points, shapes, there = batches.draw(epoch, step)
        return (
            inputs,
            {
                "points": _standard(points.reshape(len(points), -1), scales, "points"),
                "shapes": _standard(shapes, scales, "shapes"),
                "presence": there[:, None],
            },
            {"points": there, "shapes": there, "presence": np.ones_like(there)},
        )

    def learning_rate(epoch: int, share: float, history: Sequence[Record]) -> float:
        del history
        done = (epoch + share) / recipe.epochs
        warm = min(1.0, (epoch + share) * batches.steps / 300)
        return recipe.learning_rate * warm * 0.5 * (1 + float(np.cos(np.pi * done)))

    def score(model: keras.Model, epoch: int) -> Record:
        del epoch
        found: Record = {}
        for width, (inputs, points, shapes) in asked.items():
            out = model.predict(inputs, batch_size=256, verbose=0)
            seen = out["points"] * scales["points_std"] + scales["points_mean"]
            levels = out["shapes"] * scales["shapes_std"] + scales["shapes_mean"]
            found[f"points_{width:.0f}"] = point_error(seen.reshape(points.shape), points)
            found[f"shapes_{width:.0f}"] = shape_correlation(levels, shapes)
        return found

    task = Task(
        epochs=recipe.epochs,
        steps=batches.steps,
        build=lambda: _compiled(recipe, scales),
        batch=batch,
        learning_rate=learning_rate,
        score=score,
        monitor="shapes_32",
        export="average",
        ema_decay=recipe.ema_decay,
    )
    return task, scales


def point_error(seen: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Mean distance of landmarks ``(n, 478, 3)`` in the picture, outer eye corners apart."""
    eyes = np.linalg.norm(true[:, EYES[1], :2] - true[:, EYES[0], :2], axis=-1)
    off = np.linalg.norm(seen[..., :2] - true[..., :2], axis=-1).mean(axis=-1)
    return float((off / eyes).mean())


def shape_correlation(seen: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    """Median over the blendshapes that vary of the correlation over faces; levels ``(n, 52)``."""
    seen, true = np.exp(seen), np.exp(true)
    moving = np.flatnonzero(true.std(axis=0) > 0.05)
    return float(np.median([np.corrcoef(seen[:, i], true[:, i])[0, 1] for i in moving]))


def _compiled(recipe: SmallFaceRecipe, scales: dict[str, NDArray[np.float32]]) -> keras.Model:
    keras.utils.set_random_seed(recipe.seed)
    model = build_small_face(recipe.network)
    model.compile(
        optimizer=keras.optimizers.AdamW(
            recipe.learning_rate, weight_decay=recipe.weight_decay, clipnorm=5.0
        ),
        loss={
            "points": _point_loss(scales),
            "shapes": _shape_loss(scales),
            "presence": keras.losses.BinaryCrossentropy(from_logits=True),
        },
        loss_weights={"points": 1.0, "shapes": 1.0, "presence": 0.2},
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _point_loss(scales: dict[str, NDArray[np.float32]]) -> Any:
    """Absolute error in the picture; the landmarks that tell an expression count threefold."""
    weight = np.ones((POINTS, 3), np.float32)
    weight[BLENDSHAPE_POINTS] = 3.0
    weight[:, 2] *= 0.3  # only the pose reads how deep they lie
    scaled = weight.reshape(-1) * scales["points_std"]
    scaled = scaled / scaled.mean()

    def loss(true: Any, seen: Any) -> Any:
        return ops.mean(ops.abs(true - seen) * scaled, axis=-1)

    return loss


def _shape_loss(scales: dict[str, NDArray[np.float32]]) -> Any:
    """Error on logarithms and on the blendshapes themselves, each in its own deviations."""
    mean, std = scales["shapes_mean"], scales["shapes_std"]
    spread = np.maximum(scales["shapes_spread"], 0.02)

    def loss(true: Any, seen: Any) -> Any:
        off = ops.abs(true - seen)
        logarithmic = ops.where(off < 1, 0.5 * off * off, off - 0.5)
        high = float(np.log(1 + LOG_FLOOR))
        linear = ops.exp(ops.minimum(seen * std + mean, high)) - ops.exp(true * std + mean)
        linear = ops.abs(linear) / spread
        linear = ops.where(linear < 1, 0.5 * linear * linear, linear - 0.5)
        return ops.mean((1 - _LINEAR) * logarithmic + _LINEAR * linear, axis=-1)

    return loss


def _scales(recipe: SmallFaceRecipe, train: FaceSamples) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng([recipe.seed, 1 << 20])
    chosen = rng.permutation(len(train.patches))[:SAMPLED]
    how = recipe.augmentation.model_copy(update={"elsewhere": 0.0, "plain": 0.0})
    _, points, shapes, _ = make_batch(train, chosen, how, rng)
    flat = points.reshape(len(points), -1)
    return {
        "points_mean": flat.mean(axis=0),
        "points_std": flat.std(axis=0) + np.float32(1e-4),
        "shapes_mean": shapes.mean(axis=0),
        "shapes_std": shapes.std(axis=0) + np.float32(1e-2),
        "shapes_spread": np.exp(shapes).std(axis=0),
    }


def _held_out_batches(
    recipe: SmallFaceRecipe, held_out: FaceSamples
) -> dict[float, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    how = recipe.augmentation.model_copy(
        update={
            "elsewhere": 0.0,
            "plain": 0.0,
            "surroundings": 0.0,
            "blur": 0.0,
            "noise": 1.5,
        }
    )
    found = {}
    for width in WIDTHS_PX:
        rng = np.random.default_rng([recipe.seed, 1 << 21])
        chosen = np.arange(min(HELD_OUT, len(held_out.patches)))
        inputs, points, shapes, _ = make_batch(held_out, chosen, how, rng, width_px=width)
        found[width] = inputs, points, shapes
    return found


def _standard(
    values: NDArray[np.float32], scales: dict[str, NDArray[np.float32]], name: str
) -> NDArray[np.float32]:
    return (values - scales[f"{name}_mean"]) / scales[f"{name}_std"]


def _rounded(values: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 6) for value in values]

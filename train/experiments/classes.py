"""Train a net with one head, from material to report; and read such a net again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emoshift.errors import InputError
from train.data.sampling import draw_of
from train.evaluation.reports import draw_run, write_report
from train.experiments.checkpoint import Checkpoint, load_checkpoint
from train.experiments.class_recipe import BlendshapeRecipe, ConvolutionRecipe
from train.experiments.fit_classes import Lesson, build_classes, fit_classes, predict_classes
from train.experiments.material import KNOWN, classes_of, read_folder, read_labelled
from train.experiments.progress import forecast
from train.experiments.score import softmax
from train.experiments.telling import teller
from train.recipe import recipe_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras

    from train.data.sampling import Grouping
    from train.experiments.class_recipe import ClassRecipe, LabelSet
    from train.experiments.material import Labelled
    from train.experiments.request import Request
    from train.features.blendshape_inputs import Features, Scaling


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassNet:
    """What stands beside a one-headed net as ``.json``.

    Attributes:
        labels: Label set it was trained on.
        chosen: The selection's ``classes``, by which labels become the run's.
        classes: Names of its outputs.
        features: What it reads of a picture's blendshapes; ``None`` for a net that sees pixels.
        scaling: Of those features.
    """

    labels: LabelSet
    chosen: tuple[str, ...]
    classes: tuple[str, ...]
    features: Features | None = None
    scaling: Scaling | None = None


def train_classes(
    recipe: ClassRecipe, folder: Path, request: Request, tell: Callable[[str], None]
) -> None:
    """Train, and write ``net.keras`` and ``net.json`` of the best epoch, report and curves."""
    classes = classes_of(recipe.data, recipe.labels, folder=request.pictures is not None)
    if request.pictures is None:
        train, held = (
            read_labelled(request.data, request.cache, usage, recipe.labels, classes)
            for usage in ("Training", "PublicTest")
        )
    else:
        train, held = read_folder(
            request.pictures, request.cache, classes, seed=recipe.seed, tell=tell
        )
    if isinstance(recipe, ConvolutionRecipe):
        labels: LabelSet = "ferplus" if request.pictures else recipe.labels  # a folder's classes
        net = ClassNet(labels=labels, chosen=recipe.data.classes, classes=classes.names)
        lesson = _picture_lesson(recipe, train, held, classes, KNOWN[labels])
    else:
        lesson, net = _blendshape_lesson(recipe, train, held, classes, request)
    write_net_card(folder / "net.json", net, recipe)
    tell(_counts(lesson))

    state = fit_classes(
        recipe,
        lesson,
        folder,
        start=None if request.resume is None else load_checkpoint(request.resume),
        told=teller(folder, recipe.epochs, request.keep, tell),
        expected=lambda s: tell(f"{recipe.epochs} epochs, {forecast(s)}; Ctrl-C stops"),
    )
    model = write_class_net(recipe, state, folder / "net.keras", lesson)
    shown = softmax(predict_classes(model, lesson.held_inputs))
    write_report(folder, shown, lesson.held_labels, lesson.classes)
    draw_run(folder)


def write_class_net(
    recipe: ClassRecipe, state: Checkpoint, path: Path, lesson: Lesson
) -> keras.Model:
    """Write the net with the weights of the best epoch."""
    model = build_classes(recipe, width=lesson.inputs.shape[-1], classes=len(lesson.classes))
    model.set_weights(state.average)
    model.save(path)
    return model


def write_net_card(path: Path, net: ClassNet, recipe: ClassRecipe) -> None:
    """Write what a one-headed net must have beside it."""
    told: dict[str, Any] = {
        "model": recipe.model,
        "seed": recipe.seed,
        "labels": net.labels,
        "chosen": net.chosen,
        "classes": net.classes,
    }
    if net.features is not None and net.scaling is not None:
        told["features"] = asdict(net.features)
        told["mean"] = [round(float(value), 6) for value in net.scaling.mean]
        told["std"] = [round(float(value), 6) for value in net.scaling.std]
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def read_net_card(net: Path) -> ClassNet | None:
    """Return what stands beside a net of one head; ``None`` beside any other net."""
    path = net.with_suffix(".json")
    if net.suffix != ".keras" or not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    if "classes" not in told:
        return None
    bare = ClassNet(
        labels=told["labels"], chosen=tuple(told["chosen"]), classes=tuple(told["classes"])
    )
    if "features" not in told:
        return bare
    from train.features.blendshape_inputs import Features, Scaling

    return ClassNet(
        labels=bare.labels,
        chosen=bare.chosen,
        classes=bare.classes,
        features=recipe_from(told["features"], Features, where=str(path)),
        scaling=Scaling(
            mean=np.array(told["mean"], np.float32), std=np.array(told["std"], np.float32)
        ),
    )


def _picture_lesson(
    recipe: ConvolutionRecipe,
    train: Labelled,
    held: Labelled,
    classes: Grouping,
    known: tuple[str, ...],
) -> Lesson:
    return Lesson(
        inputs=train.crops,
        labels=train.labels,
        draw=train.draw(recipe.data, known, recipe.seed),
        held_inputs=held.crops,
        held_labels=held.labels,
        classes=classes.names,
    )


def _blendshape_lesson(
    recipe: BlendshapeRecipe, train: Labelled, held: Labelled, classes: Grouping, request: Request
) -> tuple[Lesson, ClassNet]:
    from train.features.blendshape_inputs import fit_scaling, raw_inputs
    from train.features.faces import found_faces, measured_table

    if request.pictures is not None:
        raise InputError("--pictures: blendshapes are measured of FER2013 alone; leave it out")
    table = measured_table(request.cache)
    train, held = found_faces(train, table), found_faces(held, table)
    raw = raw_inputs(table, train.rows, recipe.features)
    scaling = fit_scaling(raw, recipe.features)
    inputs, labels, own = scaling.apply(raw), train.labels, train.own
    if recipe.mirrored:
        other = scaling.apply(raw_inputs(table, train.rows, recipe.features, mirror=True))
        inputs = np.concatenate([inputs, other])
        labels, own = np.concatenate([labels, labels]), np.concatenate([own, own])
    lesson = Lesson(
        inputs=inputs,
        labels=labels,
        draw=draw_of(recipe.data, own, KNOWN[recipe.labels], seed=recipe.seed, groups=labels),
        held_inputs=scaling.apply(raw_inputs(table, held.rows, recipe.features)),
        held_labels=held.labels,
        classes=classes.names,
    )
    net = ClassNet(
        labels=recipe.labels,
        chosen=recipe.data.classes,
        classes=classes.names,
        features=recipe.features,
        scaling=scaling,
    )
    return lesson, net


def _counts(lesson: Lesson) -> str:
    drawn = np.bincount(lesson.labels[lesson.draw.pool], minlength=len(lesson.classes))
    each = ", ".join(f"{n} {name}" for n, name in zip(drawn, lesson.classes, strict=True))
    return f"{len(lesson.draw.pool)} pictures ({each}), {len(lesson.held_labels)} held out"

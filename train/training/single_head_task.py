"""The task of networks with one head: plain convolutions, and networks over blendshapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from edge.standardise import standardise_crop
from train.augment import augment
from train.chance import step_chance
from train.data.images import CLASSES_OF, as_input, classes_of, read_image_folder, read_labelled
from train.data.sampling import draw_of
from train.evaluation.metrics import accuracy, nll, softmax
from train.evaluation.predictions import class_logits
from train.evaluation.reports import write_report
from train.networks.published import build_convolution, build_dense, build_reference_lstm
from train.recipe import ConvolutionRecipe
from train.saved_net import NetCard, write_net_card
from train.training.image_batches import epoch_order
from train.training.job import TrainingJob
from train.training.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.ferplus import LabelSet
    from train.data.images import LabelledImages
    from train.data.sampling import Draw, Grouping
    from train.features.table import FeatureTable
    from train.recipe import BlendshapeRecipe, Plateau, SingleHeadRecipe
    from train.training.checkpoint import Checkpoint, Record
    from train.training.run_options import RunOptions
    from train.training.task import Batch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSet:
    """What a network with one head learns from and is judged by.

    Attributes:
        inputs: Training crops ``(n, 48, 48)`` uint8, or blendshape inputs ``(n, width)`` float32.
        labels: ``(n,)``, the run's classes.
        draw: What an epoch goes through.
        held_out_inputs: As ``inputs``, held out.
        held_out_labels: As ``labels``, held out.
        classes: Names.
    """

    inputs: NDArray[np.generic]
    labels: NDArray[np.int8]
    draw: Draw
    held_out_inputs: NDArray[np.generic]
    held_out_labels: NDArray[np.int8]
    classes: tuple[str, ...]

    def summary(self) -> str:
        """Return the counts as one line."""
        drawn = np.bincount(self.labels[self.draw.pool], minlength=len(self.classes))
        each = ", ".join(f"{n} {name}" for n, name in zip(drawn, self.classes, strict=True))
        return f"{len(self.draw.pool)} images ({each}), {len(self.held_out_labels)} held out"


def prepare_single_head(
    recipe: SingleHeadRecipe, options: RunOptions, log: Callable[[str], None]
) -> TrainingJob:
    """Read FER2013, or a folder of images, in the run's classes.

    Raises:
        InputError: The data, or the measured features, are missing.
        ConfigError: A class is unknown.
    """
    classes = classes_of(recipe.data, recipe.labels, folder=options.images is not None)
    if options.images is None:
        train, held_out = (
            read_labelled(options.data_folder, options.cache, split, recipe.labels, classes)
            for split in ("Training", "PublicTest")
        )
    else:
        train, held_out = read_image_folder(
            options.images, options.cache, classes, seed=recipe.seed, log=log
        )
    if isinstance(recipe, ConvolutionRecipe):
        labels: LabelSet = "ferplus" if options.images else recipe.labels  # a folder's classes
        card = NetCard(labels=labels, chosen=recipe.data.classes, classes=classes.names)
        data = _image_set(recipe, train, held_out, classes, CLASSES_OF[labels])
    else:
        from train.features.faces import measured_table

        table = measured_table(options.data_folder, options.cache)
        data, card = _blendshape_set(recipe, train, held_out, classes, table)

    def finish(state: Checkpoint, folder: Path) -> None:
        model = build_single_head(recipe, width=data.inputs.shape[-1], classes=len(data.classes))
        model.set_weights(state.export)
        model.save(folder / "net.keras")
        write_net_card(folder / "net.json", card, recipe)
        probs = softmax(class_logits(model, data.held_out_inputs))
        write_report(folder, probs, data.held_out_labels, data.classes)

    return TrainingJob(task=single_head_task(recipe, data), summary=data.summary(), finish=finish)


def single_head_task(recipe: SingleHeadRecipe, data: TrainingSet) -> Task:
    """Return the task of a recipe; it exports the weights of the epoch with the best accuracy."""
    size = min(recipe.batch_size, len(data.draw.pool))
    order = epoch_order(data.draw, recipe.seed)
    one_hot = np.eye(len(data.classes), dtype=np.float32)

    def batch(epoch: int, step: int) -> Batch:
        chosen = order(epoch)[step * size : (step + 1) * size]
        inputs = data.inputs[chosen]
        if isinstance(recipe, ConvolutionRecipe):
            crops = np.asarray(inputs, np.uint8)
            chance = step_chance(recipe.seed, epoch, step)
            changed = augment(crops, recipe.augmentation, chance, side_px=crops.shape[1])
            inputs = as_input(standardise_crop(changed))
        return np.asarray(inputs, np.float32), one_hot[data.labels[chosen]]

    def learning_rate(epoch: int, share: float, history: Sequence[Record]) -> float:
        del share
        if not isinstance(recipe, ConvolutionRecipe) and recipe.cosine_decay:
            done = (epoch + 0.5) / recipe.epochs
            return recipe.learning_rate * (0.5 + 0.5 * math.cos(math.pi * done))
        losses = [record["val_loss"] for record in history]
        return rate_on_plateau(recipe.plateau, recipe.learning_rate, losses)

    def score(model: keras.Model, epoch: int) -> Record:
        del epoch
        logits = class_logits(model, data.held_out_inputs)
        return {
            "val_loss": nll(softmax(logits), data.held_out_labels),
            "val_accuracy": accuracy(logits, data.held_out_labels),
        }

    return Task(
        epochs=recipe.epochs,
        steps=len(data.draw.pool) // size,
        build=lambda: _compiled(recipe, data),
        batch=batch,
        learning_rate=learning_rate,
        score=score,
        monitor="val_accuracy",
        export="best",
    )


def rate_on_plateau(plateau: Plateau, first: float, losses: Sequence[float]) -> float:
    """Return the learning rate of the epoch that follows these held-out losses."""
    rate, lowest, waited = first, float("inf"), 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss)
        if waited >= plateau.patience:
            rate, waited = max(rate * plateau.factor, plateau.min_learning_rate), 0
    return rate


def build_single_head(recipe: SingleHeadRecipe, *, width: int, classes: int) -> keras.Model:
    """Build the recipe's network, its weights drawn from the seed.

    Args:
        recipe: Decides the network.
        width: Inputs of a network over blendshapes; not read for images.
        classes: Outputs.
    """
    keras.utils.set_random_seed(recipe.seed)
    if isinstance(recipe, ConvolutionRecipe):
        return build_convolution(recipe.network, classes, name=recipe.model)
    build = build_dense if recipe.model == "dense" else build_reference_lstm
    return build(recipe.network, width, classes)


def _compiled(recipe: SingleHeadRecipe, data: TrainingSet) -> keras.Model:
    model = build_single_head(recipe, width=data.inputs.shape[-1], classes=len(data.classes))
    decay = recipe.weight_decay or None
    if isinstance(recipe, ConvolutionRecipe):
        optimiser = keras.optimizers.SGD(
            recipe.learning_rate, momentum=recipe.momentum, nesterov=True, weight_decay=decay
        )
    else:
        optimiser = keras.optimizers.Adam(recipe.learning_rate, clipnorm=1.0, weight_decay=decay)
    if decay:
        optimiser.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(
        optimizer=optimiser,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
    )
    optimiser.build(model.trainable_variables)
    return model


def _image_set(
    recipe: ConvolutionRecipe,
    train: LabelledImages,
    held_out: LabelledImages,
    classes: Grouping,
    known: tuple[str, ...],
) -> TrainingSet:
    return TrainingSet(
        inputs=train.crops,
        labels=train.labels,
        draw=train.draw(recipe.data, known, recipe.seed),
        held_out_inputs=held_out.crops,
        held_out_labels=held_out.labels,
        classes=classes.names,
    )


def _blendshape_set(
    recipe: BlendshapeRecipe,
    train: LabelledImages,
    held_out: LabelledImages,
    classes: Grouping,
    table: FeatureTable,
) -> tuple[TrainingSet, NetCard]:
    from train.features.blendshape_inputs import fit_scaling, raw_inputs
    from train.features.faces import found_faces

    train, held_out = found_faces(train, table), found_faces(held_out, table)
    raw = raw_inputs(table, train.rows, recipe.features)
    scaling = fit_scaling(raw, recipe.features)
    inputs, labels, set_labels = scaling.apply(raw), train.labels, train.set_labels
    if recipe.mirrored:
        other = scaling.apply(raw_inputs(table, train.rows, recipe.features, mirror=True))
        inputs = np.concatenate([inputs, other])
        labels, set_labels = (np.concatenate([one, one]) for one in (labels, set_labels))
    draw = draw_of(
        recipe.data, set_labels, CLASSES_OF[recipe.labels], seed=recipe.seed, groups=labels
    )
    data = TrainingSet(
        inputs=inputs,
        labels=labels,
        draw=draw,
        held_out_inputs=scaling.apply(raw_inputs(table, held_out.rows, recipe.features)),
        held_out_labels=held_out.labels,
        classes=classes.names,
    )
    card = NetCard(
        labels=recipe.labels,
        chosen=recipe.data.classes,
        classes=classes.names,
        features=recipe.features,
        scaling=scaling,
    )
    return data, card

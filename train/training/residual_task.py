"""The task of the image networks with two heads, one for each label set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from emoshift.errors import InputError
from train.data.ferplus import LABELS
from train.data.folds import Fold
from train.data.images import CLASSES_OF, read_images
from train.data.sampling import draw_all, draw_of
from train.evaluation.metrics import accuracy, macro_recall, softmax, vote_loss, without_contempt
from train.evaluation.predictions import image_logits
from train.evaluation.reports import write_report
from train.networks.residual import build_residual
from train.training.distillation import read_teacher
from train.training.image_batches import ImageBatches
from train.training.job import TrainingJob
from train.training.targets import targets_of
from train.training.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from train.data.images import Images
    from train.data.sampling import Draw
    from train.recipe import ResidualRecipe
    from train.training.checkpoint import Checkpoint, Record
    from train.training.run_options import RunOptions
    from train.training.targets import Targets
    from train.training.task import Batch

HEADS = ("ferplus", "fer2013")
IMAGE_SIZE = 48
"""Side of the images in pixels that the exported network takes: that of the device's crops."""


def prepare_residual(
    recipe: ResidualRecipe,
    options: RunOptions,
    log: Callable[[str], None],  # noqa: ARG001 - every kind of network is prepared alike
) -> TrainingJob:
    """Read FER2013 and the teacher, if there is one.

    Raises:
        InputError: Something of it is missing, or there are fewer images than one batch.
    """
    train, held_out = (
        read_images(options.data_folder, options.cache, split)
        for split in ("Training", "PublicTest")
    )
    if options.leave_out is not None:
        train = train.select(~Fold.parse(options.leave_out).holds(train.crops))
    teacher = None if options.teacher is None else read_teacher(options.teacher, train.rows)
    draw = draw_of(recipe.data, train.labels, CLASSES_OF["fer2013"], seed=recipe.seed)
    task = residual_task(
        recipe,
        train,
        held_out,
        targets=targets_of(train, teacher, recipe.teacher_share),
        draw=draw,
    )

    def finish(state: Checkpoint, folder: Path) -> None:
        model = write_residual(recipe, state.export, folder / "net.keras")
        logits = image_logits(lambda inputs: _head_logits(model, inputs), held_out.crops)
        write_report(folder, softmax(logits["ferplus"]), held_out.majority, LABELS)

    return TrainingJob(
        task=task,
        summary=f"{len(draw.pool)} images, {len(held_out.rows)} held out"
        + (f", part {options.leave_out} left out" if options.leave_out else ""),
        finish=finish,
    )


def residual_task(
    recipe: ResidualRecipe,
    train: Images,
    held_out: Images,
    *,
    targets: Targets | None = None,
    draw: Draw | None = None,
) -> Task:
    """Return the task of a recipe.

    Args:
        recipe: What to do.
        train: Learned from.
        held_out: Scored after every epoch, with the averaged weights.
        targets: What the heads should predict of ``train``; its own votes and labels by default.
        draw: What an epoch goes through; every image once by default.

    Raises:
        InputError: There are fewer images than one batch.
    """
    batches = ImageBatches(
        crops=train.crops,
        targets=targets_of(train) if targets is None else targets,
        draw=draw_all(len(train.crops)) if draw is None else draw,
        augmentation=recipe.augmentation,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
    )
    if not batches.steps:
        raise InputError(
            f"found {len(batches.draw.pool)} images, expected at least one batch of"
            f" {recipe.batch_size}; give a smaller --batch-size"
        )

    def batch(epoch: int, step: int) -> Batch:
        phase, _ = recipe.phase_at(epoch)
        return batches.batch(epoch, step, image_size=phase.image_size, strength=phase.strength)

    def learning_rate(epoch: int, share: float, history: Sequence[Record]) -> float:
        del history
        phase, done = recipe.phase_at(epoch)
        return phase.learning_rate_at((done + share) / phase.epochs)

    def score(model: keras.Model, epoch: int) -> Record:
        size = recipe.phase_at(epoch)[0].image_size
        logits = image_logits(
            lambda inputs: _head_logits(model, inputs), held_out.crops, image_size=size
        )
        return head_scores(logits, held_out)

    return Task(
        epochs=recipe.epochs,
        steps=batches.steps,
        build=lambda: build_compiled(recipe),
        batch=batch,
        learning_rate=learning_rate,
        score=score,
        monitor="ferplus_accuracy",
        export="average",
        ema_decay=recipe.ema_decay,
        image_sizes=tuple(phase.image_size for phase in recipe.phases for _ in range(phase.epochs)),
    )


def build_compiled(recipe: ResidualRecipe) -> keras.Model:
    """Build and compile the recipe's network, its weights drawn from the seed."""
    keras.utils.set_random_seed(recipe.seed)
    model = build_residual(recipe.network, None)
    optimiser = keras.optimizers.SGD(
        recipe.phases[0].learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    optimiser.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(
        optimizer=optimiser,
        loss={head: keras.losses.CategoricalCrossentropy(from_logits=True) for head in HEADS},
        loss_weights={"ferplus": 1.0, "fer2013": recipe.fer2013_weight},
    )
    optimiser.build(model.trainable_variables)
    return model


def write_residual(
    recipe: ResidualRecipe, weights: list[NDArray[np.float32]], path: Path
) -> keras.Model:
    """Write the network with these weights, for images of 48 pixels and without optimiser."""
    model = build_residual(recipe.network, IMAGE_SIZE)
    model.set_weights(weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return model


def head_scores(logits: dict[str, NDArray[np.floating]], images: Images) -> Record:
    """Return the figures that a run of a network with both heads is judged by."""
    return {
        "ferplus_accuracy": accuracy(logits["ferplus"], images.majority),
        "fer2013_accuracy": accuracy(logits["fer2013"], images.labels),
        "ferplus_recall": macro_recall(
            logits["ferplus"][:, :-1], without_contempt(images.majority)
        ),
        "vote_loss": vote_loss(logits["ferplus"], images.votes, images.vote_weight),
    }


def _head_logits(model: keras.Model, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    logits: dict[str, NDArray[np.float32]] = model.predict(inputs, batch_size=256, verbose=0)
    return logits

"""The task of the image networks with two heads, one for each label set."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import keras
import numpy as np

from edge.standardise import standardise_crop
from emoshift.errors import InputError
from train.augment import augment
from train.data.ferplus import LABELS
from train.data.folds import Fold
from train.data.images import CLASSES_OF, as_input, prepared, read_images
from train.data.sampling import draw_all, draw_of
from train.evaluation.metrics import accuracy, macro_recall, softmax, vote_loss, without_contempt
from train.evaluation.predictions import image_logits
from train.evaluation.reports import write_report
from train.networks.face_recognition import begin_with_faces, fetch_face_weights
from train.networks.mobilenet import build_mobilenet
from train.networks.residual import build_residual
from train.recipe import ResidualRecipe
from train.training.device import dtype_policy, image_policy
from train.training.distillation import read_teacher
from train.training.image_batches import ImageBatches
from train.training.job import TrainingJob
from train.training.targets import targets_of
from train.training.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.images import Images
    from train.data.sampling import Draw
    from train.networks.face_recognition import FaceWeights
    from train.recipe import KerasTwoHeadRecipe
    from train.training.checkpoint import Checkpoint, Record
    from train.training.run_options import RunOptions
    from train.training.targets import Targets
    from train.training.task import Batch

HEADS = ("ferplus", "fer2013")
IMAGE_SIZE = 48
"""Side of the images in pixels that the exported network takes: that of the device's crops."""
CALIBRATION_IMAGES: Final = 512
"""Images on which the batch normalisation of a network from elsewhere is set."""
LARGEST_GRADIENT: Final = 5.0
"""Norm to which all gradients together are clipped under AdamW."""


def prepare_two_head(
    recipe: KerasTwoHeadRecipe,
    options: RunOptions,
    log: Callable[[str], None],  # noqa: ARG001 - every kind of network is prepared alike
) -> TrainingJob:
    """Read FER2013, the teacher if there is one, and the weights to begin with likewise.

    Raises:
        InputError: Something of it is missing, or there are fewer images than one batch.
        UnavailableError: The weights of face recognition cannot be fetched.
    """
    faces = None if isinstance(recipe, ResidualRecipe) else fetch_face_weights()
    train, held_out = (
        read_images(options.data_folder, options.cache, split)
        for split in ("Training", "PublicTest")
    )
    if options.leave_out is not None:
        train = train.select(~Fold.parse(options.leave_out).holds(train.crops))
    teacher = None if options.teacher is None else read_teacher(options.teacher, train.rows)
    draw = draw_of(recipe.data, train.labels, CLASSES_OF["fer2013"], seed=recipe.seed)
    task = two_head_task(
        recipe,
        train,
        held_out,
        targets=targets_of(train, teacher, recipe.teacher_share),
        draw=draw,
        faces=faces,
        policy=image_policy(options.precision),
    )

    def finish(state: Checkpoint, folder: Path) -> None:
        model = write_two_head(recipe, state.export, folder / "net.keras")
        logits = image_logits(lambda inputs: _head_logits(model, inputs), held_out.crops)
        write_report(folder, softmax(logits["ferplus"]), held_out.majority, LABELS)

    return TrainingJob(
        task=task,
        summary=f"{len(draw.pool)} images, {len(held_out.rows)} held out"
        + (f", part {options.leave_out} left out" if options.leave_out else ""),
        finish=finish,
    )


def two_head_task(
    recipe: KerasTwoHeadRecipe,
    train: Images,
    held_out: Images,
    *,
    targets: Targets | None = None,
    draw: Draw | None = None,
    faces: FaceWeights | None = None,
    policy: str = "float32",
) -> Task:
    """Return the task of a recipe.

    Args:
        recipe: What to do.
        train: Learned from.
        held_out: Scored after every epoch, with the averaged weights.
        targets: What the heads should predict of ``train``; its own votes and labels by default.
        draw: What an epoch goes through; every image once by default.
        faces: What a MobileNet begins with; random weights by default.
        policy: Keras' dtype policy of the network in training.

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

    def build() -> keras.Model:
        model = build_compiled(recipe, policy)
        if faces is not None and not isinstance(recipe, ResidualRecipe):
            sample = _calibration_images(recipe, train.crops)
            model.set_weights(begin_with_faces(recipe.network, faces, sample))
        return model

    def batch(epoch: int, step: int) -> Batch:
        phase, _ = recipe.phase_at(epoch)
        return batches.batch(epoch, step, image_size=phase.image_size, strength=phase.strength)

    def learning_rate(epoch: int, share: float, history: Sequence[Record]) -> float:
        del history
        phase, done = recipe.phase_at(epoch)
        return phase.learning_rate_at((done + share) / phase.epochs)

    inputs_at = cache(lambda size: prepared(held_out.crops, size))

    def score(model: keras.Model, epoch: int) -> Record:
        return head_scores(
            _head_logits(model, inputs_at(recipe.phase_at(epoch)[0].image_size)), held_out
        )

    phases = [phase for phase in recipe.phases for _ in range(phase.epochs)]
    return Task(
        epochs=recipe.epochs,
        steps=batches.steps,
        build=build,
        batch=batch,
        learning_rate=learning_rate,
        score=score,
        monitor="ferplus_accuracy",
        export="average",
        ema_decay=recipe.ema_decay,
        image_sizes=tuple(phase.image_size for phase in phases),
        strengths=tuple(phase.strength for phase in phases),
        images=batches,
    )


def build_compiled(recipe: KerasTwoHeadRecipe, policy: str = "float32") -> keras.Model:
    """Build and compile the recipe's network, its weights drawn from the seed."""
    keras.utils.set_random_seed(recipe.seed)
    with dtype_policy(policy):
        model = _network(recipe, None)
    optimiser = _optimiser(recipe)
    optimiser.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(
        optimizer=optimiser,
        loss={head: keras.losses.CategoricalCrossentropy(from_logits=True) for head in HEADS},
        loss_weights={"ferplus": 1.0, "fer2013": recipe.fer2013_weight},
    )
    optimiser.build(model.trainable_variables)
    return model


def write_two_head(
    recipe: KerasTwoHeadRecipe, weights: list[NDArray[np.float32]], path: Path
) -> keras.Model:
    """Write the network with these weights, for images of 48 pixels and without optimiser."""
    model = _network(recipe, IMAGE_SIZE)
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


def _network(recipe: KerasTwoHeadRecipe, image_size: int | None) -> keras.Model:
    if isinstance(recipe, ResidualRecipe):
        return build_residual(recipe.network, image_size)
    return build_mobilenet(recipe.network, image_size)


def _optimiser(recipe: KerasTwoHeadRecipe) -> keras.optimizers.Optimizer:
    first = recipe.phases[0].learning_rate
    if isinstance(recipe, ResidualRecipe):
        return keras.optimizers.SGD(
            first, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.weight_decay
        )
    return keras.optimizers.AdamW(
        first, weight_decay=recipe.weight_decay, global_clipnorm=LARGEST_GRADIENT
    )


def _calibration_images(
    recipe: KerasTwoHeadRecipe, crops: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return some training images as they look in the first epoch."""
    rng = np.random.default_rng(recipe.seed)
    chosen = crops[rng.permutation(len(crops))[:CALIBRATION_IMAGES]]
    phase = recipe.phases[0]
    changed = augment(
        chosen, recipe.augmentation, rng, side_px=phase.image_size, strength=phase.strength
    )
    return as_input(standardise_crop(changed))


def _head_logits(model: keras.Model, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    logits: dict[str, NDArray[np.float32]] = model.predict(inputs, batch_size=256, verbose=0)
    return logits

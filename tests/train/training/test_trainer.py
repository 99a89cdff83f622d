"""A run that was killed goes on to the very same weights; a stopped one leaves its report."""

from __future__ import annotations

import csv
import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")
pytest.importorskip("matplotlib", reason="needs the training environment: make test-train")

from edge.features.blendshapes import channel_names, levels
from emoshift.errors import InputError
from train.data.images import read_images
from train.data.sampling import draw_all
from train.evaluation.predictions import image_logits
from train.features.channel_transform import fitted, unfitted_transform
from train.features.motion import read_motion
from train.features.synthetic_sequences import Director, Script, Stills
from train.networks.config import BlendshapeNet, ConvolutionNet, ResidualNet
from train.networks.residual import build_residual, multiply_adds
from train.recipe import (
    BlendshapeRecipe,
    ConvolutionRecipe,
    MobileNetRecipe,
    Phase,
    Plateau,
    RecurrentRecipe,
    ResidualRecipe,
)
from train.recipe_file import RECIPES, read_recipe
from train.saved_net import open_scorer
from train.training.checkpoint import load_checkpoint
from train.training.recurrent_task import MOTION, recurrent_scores, recurrent_task
from train.training.single_head_task import TrainingSet, single_head_task
from train.training.trainer import EpochBatches, fit
from train.training.two_head_task import build_compiled, two_head_task, write_two_head

if TYPE_CHECKING:
    from pathlib import Path

    from train.recipe import KerasTwoHeadRecipe, SingleHeadRecipe
    from train.training.task import Task

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RESIDUAL = ResidualRecipe(
    seed=4,
    batch_size=16,
    phases=(
        Phase(epochs=1, image_size=32, learning_rate=0.02),
        Phase(epochs=2, image_size=40, learning_rate=0.02, end_learning_rate=0.0),
    ),
    network=ResidualNet(stem=4, widths=(4,), blocks=(1,), squeeze=4, dropout=0.2),
)
MODEL_X = ConvolutionRecipe(
    model="model_x",
    seed=5,
    epochs=3,
    batch_size=8,
    learning_rate=0.02,
    weight_decay=1e-3,
    plateau=Plateau(patience=1),
    network=ConvolutionNet(widths=(4, 4), dense=8),
)
DENSE = BlendshapeRecipe(
    model="dense",
    seed=5,
    epochs=3,
    batch_size=1,  # more steps than any queue of batches made ahead is long
    learning_rate=0.01,
    weight_decay=1e-2,
    cosine_decay=True,
    network=BlendshapeNet(units=(6,), noise=0.1, dropout=0.2),
)
LSTM = BlendshapeRecipe(
    model="lstm_reference",
    seed=5,
    epochs=3,
    batch_size=8,
    learning_rate=0.0046,
    network=BlendshapeNet(units=(6, 4), noise=0.1, dropout=0.2),
)
RECURRENT = RecurrentRecipe(
    seed=6,
    epochs=3,
    steps_per_epoch=3,
    batch_size=4,
    units=4,
    script=Script(steps=6, candidates=40),
)


def two_head(data: Path, cache: Path, recipe: KerasTwoHeadRecipe = RESIDUAL) -> Task:
    train, held_out = (read_images(data, cache, split) for split in ("Training", "PublicTest"))
    return two_head_task(recipe, train, held_out)


def single_head(data: Path, cache: Path, recipe: SingleHeadRecipe) -> Task:
    del data, cache
    rng = np.random.default_rng(2)
    shape, kind = ((48, 48), np.uint8) if recipe.model == "model_x" else ((9,), np.float32)
    inputs = (rng.random((40, *shape)) * (255 if kind is np.uint8 else 1)).astype(kind)
    labels = rng.integers(0, 3, 40).astype(np.int8)
    return single_head_task(
        recipe,
        TrainingSet(
            inputs=inputs[:32],
            labels=labels[:32],
            draw=draw_all(32),
            held_out_inputs=inputs[32:],
            held_out_labels=labels[32:],
            classes=("happy", "sad", "neutral"),
        ),
    )


def recurrent(data: Path, cache: Path) -> Task:
    del data, cache
    rng = np.random.default_rng(8)
    shapes = rng.uniform(0, 0.6, (80, 52)).astype(np.float32)
    pose = rng.normal(0, 8, (80, 3)).astype(np.float32)
    votes = np.eye(8, dtype=np.float32)[np.arange(80) % 8]
    stills = Stills(
        rows=np.arange(80),
        levels=levels(shapes, pose, unfitted_transform()),
        votes=votes,
        majority=votes.argmax(axis=1).astype(np.int8),
    )
    transform = fitted(unfitted_transform(), stills.levels, stills.resting)
    director = Director(
        stills, script=RECURRENT.script, transform=transform, motion=read_motion(MOTION)
    )
    held_out = director.draw(4, np.random.default_rng(1))
    return recurrent_task(
        RECURRENT,
        director,
        lambda model: recurrent_scores(model, stills, transform, held_out),
        width=len(channel_names(transform)),
    )


TASKS = {
    "residual": two_head,
    "model_x": partial(single_head, recipe=MODEL_X),
    "dense": partial(single_head, recipe=DENSE),
    "lstm_reference": partial(single_head, recipe=LSTM),
    "recurrent": recurrent,
}


@pytest.mark.parametrize("name", TASKS)
def test_resumed_is_bit_identical_to_unbroken(name: str, made_up: Path, tmp_path: Path) -> None:
    """Weights, optimiser, averages, best epoch, dropout state and history all go on."""
    task = TASKS[name](made_up, tmp_path / "cache")
    whole = fit(task, tmp_path / "whole")
    assert whole.epoch == task.epochs == 3
    for epoch in (1, 2):
        start = load_checkpoint(tmp_path / "whole" / "checkpoints" / f"epoch-{epoch:03d}.npz")
        resumed = fit(task, tmp_path / f"from-{epoch}", start=start)
        for group in ("variables", "optimiser", "export"):
            for one, two in zip(getattr(whole, group), getattr(resumed, group), strict=True):
                np.testing.assert_array_equal(one, two)
        assert len(whole.history) == len(resumed.history)
        for one, two in zip(whole.history, resumed.history, strict=True):
            assert {**one, "seconds": 0} == {**two, "seconds": 0}
    assert all(record["loss"] > 0 for record in whole.history)


def test_every_batch_comes_once_and_in_order(tmp_path: Path, made_up: Path) -> None:
    """A batch is that of its epoch and step, whatever was asked for before."""
    task = two_head(made_up, tmp_path / "cache")
    batches = EpochBatches(task.steps, task.batch, 1)
    first = [batches[step][0] for step in range(len(batches))]
    again = [batches[step][0] for step in reversed(range(len(batches)))][::-1]
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    batches.begin(2)
    assert (batches[0][0] != first[0]).any()
    assert len({one.tobytes() for one in first}) == len(first) == task.steps


def test_what_a_run_keeps_and_says(made_up: Path, tmp_path: Path) -> None:
    """The best epoch's checkpoint, the last ones, a history of six digits, a line an epoch."""
    lines: list[str] = []
    task = two_head(made_up, tmp_path / "cache")
    state = fit(task, tmp_path / "run", keep=1, log=lines.append)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["epoch-003.npz"]
    scores = [record["ferplus_accuracy"] for record in state.history]
    best = load_checkpoint(tmp_path / "run" / "best_checkpoint.npz")
    assert best.epoch == scores.index(max(scores)) + 1
    with (tmp_path / "run" / "training_history.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["image_size"] for row in rows] == ["32", "40", "40"]
    assert max(len(value) for row in rows for value in row.values()) <= len("-1.23456e-05")
    assert [line.split(":")[0] for line in lines if line.startswith("epoch")] == [
        "epoch 1/3",
        "epoch 2/3",
        "epoch 3/3",
    ]
    assert "left" in lines[0]
    assert any(re.match(r"the whole run: about \d+ (s|min|h)$", line) for line in lines)
    assert "left" not in lines[-1]


def test_the_exported_network_has_the_averaged_weights(made_up: Path, tmp_path: Path) -> None:
    """And is scored as any other, its two views alike for a mirrored image."""
    held_out = read_images(made_up, tmp_path / "cache", "PublicTest")
    state = fit(two_head(made_up, tmp_path / "cache"), tmp_path / "run")
    assert any((a != b).any() for a, b in zip(state.export, state.variables, strict=False))
    model = write_two_head(RESIDUAL, state.export, tmp_path / "net.keras")
    for one, two in zip(model.get_weights(), state.export, strict=True):
        np.testing.assert_array_equal(one, two)
    scorer = open_scorer(tmp_path / "net.keras")
    logits = image_logits(scorer, held_out.crops, mirrored=True)
    turned = image_logits(scorer, held_out.crops[:, :, ::-1], mirrored=True)
    assert logits["ferplus"].shape == (16, 8)
    assert logits["fer2013"].shape == (16, 7)
    np.testing.assert_allclose(logits["ferplus"], turned["ferplus"], atol=1e-5)


def test_a_mobilenet_is_trained_and_exported_like_the_others(made_up: Path, tmp_path: Path) -> None:
    """By its own optimiser, which spares scales and biases, to a network that takes a crop."""
    recipe = MobileNetRecipe(
        seed=3, batch_size=32, phases=(Phase(epochs=1, image_size=32, learning_rate=1e-3),)
    )
    state = fit(two_head(made_up, tmp_path / "cache", recipe), tmp_path / "run")
    assert state.epoch == 1
    assert state.history[0]["loss"] > 0
    model = build_compiled(recipe)
    spared = {"gamma", "beta", "bias"}
    for variable in model.trainable_variables:
        decays = model.optimizer._use_weight_decay(variable)  # noqa: SLF001 - no public form
        assert decays is (variable.name not in spared)
    write_two_head(recipe, state.export, tmp_path / "net.keras")
    held_out = read_images(made_up, tmp_path / "cache", "PublicTest")
    logits = image_logits(open_scorer(tmp_path / "net.keras"), held_out.crops)
    assert logits["ferplus"].shape == (16, 8)


def test_a_checkpoint_of_another_network_is_refused(made_up: Path, tmp_path: Path) -> None:
    """By what does not fit, before anything is trained; so is a file that is no checkpoint."""
    fit(single_head(made_up, tmp_path, MODEL_X), tmp_path / "run")
    other = load_checkpoint(tmp_path / "run" / "checkpoints" / "epoch-003.npz")
    with pytest.raises(InputError, match="another network"):
        fit(two_head(made_up, tmp_path / "cache"), tmp_path / "two", start=other)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "broken.npz")
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.npz")


def test_too_few_images_are_reported(made_up: Path, tmp_path: Path) -> None:
    """A batch larger than the data set would train nothing."""
    with pytest.raises(InputError, match="found 64 images, expected at least one batch of 65"):
        two_head(made_up, tmp_path, RESIDUAL.model_copy(update={"batch_size": 65}))


def test_the_shipped_networks_keep_to_their_budget() -> None:
    """What the two members cost, counted layer by layer, stays what the documents say."""
    small = ResidualNet(stem=4, widths=(4,), blocks=(1,), squeeze=0)
    stem, block, heads = 24 * 24 * 25 * 4, 2 * 24 * 24 * 9 * 4 * 4, 4 * 15
    assert multiply_adds(build_residual(small)) == stem + block + heads
    shapes = [
        read_recipe(RECIPES / f"{name}.toml", ResidualRecipe).network for name in ("cnn_a", "cnn_b")
    ]
    counts = [multiply_adds(build_residual(shape, None), shape.image_size) for shape in shapes]
    assert [round(count / 1e6, 1) for count in counts] == [35.6, 24.5]

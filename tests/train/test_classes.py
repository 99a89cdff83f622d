"""Nets with one head: killed runs go on to the same weights, any folder of pictures will do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("keras")
pytest.importorskip("matplotlib")

from click.testing import CliRunner

from emoshift.errors import InputError
from train.cli import main
from train.data.sampling import draw_all
from train.evaluation.ensemble import weigh
from train.experiments.checkpoint import load_checkpoint
from train.experiments.class_recipe import BlendshapeRecipe, ConvolutionRecipe, Plateau
from train.experiments.fit_classes import Lesson, build_classes, fit_classes
from train.networks.config import BlendshapeNet, ConvolutionNet

if TYPE_CHECKING:
    from pathlib import Path

    from train.experiments.class_recipe import ClassRecipe

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SMALL = ConvolutionNet(widths=(4, 4), dense=8)
X = ConvolutionRecipe(
    model="model_x",
    seed=5,
    epochs=3,
    batch_size=8,
    rate=0.02,
    weight_decay=1e-3,
    plateau=Plateau(patience=1),
    network=SMALL,
)
DENSE = BlendshapeRecipe(
    model="dense",
    seed=5,
    epochs=3,
    batch_size=8,
    rate=0.01,
    weight_decay=1e-2,
    fall=True,
    network=BlendshapeNet(units=(6,), noise=0.1, dropout=0.2),
)
LSTM = BlendshapeRecipe(
    model="lstm_reference",
    seed=5,
    epochs=3,
    batch_size=8,
    rate=0.0046,
    network=BlendshapeNet(units=(6, 4), noise=0.1, dropout=0.2),
)


def lesson(recipe: ClassRecipe) -> Lesson:
    rng = np.random.default_rng(2)
    shape, kind = ((48, 48), np.uint8) if recipe.model == "model_x" else ((9,), np.float32)
    inputs = (rng.random((40, *shape)) * (255 if kind is np.uint8 else 1)).astype(kind)
    labels = rng.integers(0, 3, 40).astype(np.int8)
    return Lesson(
        inputs=inputs[:32],
        labels=labels[:32],
        draw=draw_all(32),
        held_inputs=inputs[32:],
        held_labels=labels[32:],
        classes=("happy", "sad", "neutral"),
    )


def quiet(record: dict[str, float], best: bool, path: Path) -> None:
    assert record["loss"] > 0
    assert path.exists()
    assert best in {True, False}


@pytest.mark.parametrize("recipe", [X, LSTM, DENSE], ids=lambda recipe: recipe.model)
def test_resumed_is_bit_identical_to_unbroken(recipe: ClassRecipe, tmp_path: Path) -> None:
    """Weights, optimiser, plateau, dropout state and best epoch go on; the forecast leaves none."""
    material = lesson(recipe)
    seconds: list[float] = []
    whole = fit_classes(recipe, material, tmp_path / "a", told=quiet, expected=seconds.append)
    start = load_checkpoint(tmp_path / "a" / "checkpoints" / "epoch-001.npz")
    resumed = fit_classes(recipe, material, tmp_path / "c", start=start, told=quiet)
    for group in ("variables", "optimiser", "average"):
        for one, two in zip(getattr(whole, group), getattr(resumed, group), strict=True):
            np.testing.assert_array_equal(one, two)
    for one, two in zip(whole.history, resumed.history, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
    assert seconds[0] > 0


def test_the_reference_forms_are_as_published() -> None:
    """33 blendshapes, LSTM, 12, softmax; several convolutions, and a simpler net."""
    shape = BlendshapeRecipe(model="lstm_reference", seed=1, network=BlendshapeNet(units=(33, 12)))
    net = build_classes(shape, width=33, classes=7)
    assert net.input_shape == (None, 33)
    assert net.count_params() == 4 * 33 * (33 + 33 + 1) + 12 * (33 + 1) + 7 * (12 + 1)
    kinds = [type(layer).__name__ for layer in build_classes(X, width=0, classes=7).layers]
    for kind in ("Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D", "Dropout"):
        assert kind in kinds
    simple = replace(X, model="model_y", network=replace(SMALL, normalise=False, dropout=0.0))
    assert len(build_classes(simple, width=0, classes=7).layers) < len(kinds)


@pytest.mark.parametrize(
    ("losses", "rate"),
    [
        pytest.param([], 0.1, id="at first"),
        pytest.param([1.0, 0.9, 0.8], 0.1, id="while it falls"),
        pytest.param([1.0, 1.1, 1.2], 0.01, id="after two epochs of no gain"),
        pytest.param([1.0, 1.1, 0.9, 1.0], 0.1, id="a gain starts the count again"),
        pytest.param([1.0] * 9, 0.004, id="never below the least"),
    ],
)
def test_the_rate_falls_on_a_plateau(losses: list[float], rate: float) -> None:
    """The rate follows from the history alone, so a resumed run knows it."""
    plateau = Plateau(factor=0.1, patience=2, least=0.004)
    assert plateau.rate_after(0.1, losses) == pytest.approx(rate)


def told(*arguments: str) -> str:
    found = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def put(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((48, 48), grey, np.uint8))


@pytest.mark.slow
def test_from_flags_to_an_ensemble(made_up: Path, tmp_path: Path) -> None:
    """Merged classes, balanced and weighted; every flag is kept; two nets are weighed together."""
    shared = ["--data", str(made_up), "--cache", str(tmp_path / "cache")]
    recipe = tmp_path / "toy.toml"
    recipe.write_text(
        'model = "model_x"\nseed = 3\nepochs = 9\nbatch_size = 8\nrate = 0.01\n'
        "[network]\nwidths = [4]\ndense = 4\n",
        encoding="utf-8",
    )
    run = ["run", "--recipe", str(recipe), "--runs", str(tmp_path / "runs"), *shared]
    asked = [
        "--classes",
        "happy-sad-unknown",
        "--samples-per-class",
        "16",
        "--happy",
        "2",
        "--epochs",
        "1",
    ]
    out = told(*run, "--name", "one", "--device", "cpu", "--epochs", "1", *asked)
    assert "48 pictures (16 happy, 16 sad, 16 unknown)" in out
    assert "1 epochs, about" in out
    first = tmp_path / "runs" / out.split()[-1].rsplit("/", 1)[-1]
    kept = json.loads((first / "experiment_config.json").read_text(encoding="utf-8"))
    assert kept["recipe"]["data"]["samples_per_class"] == 16
    assert kept["recipe"]["data"]["weights"]["happy"] == 2.0
    assert kept["device"] == "cpu"
    assert kept["asked"]["epochs"] == 1
    assert {path.name for path in first.iterdir()} >= {
        "best_checkpoint.npz",
        "classification_report.txt",
        "confusion_matrix.png",
        "learning_curves.png",
        "net.keras",
        "training_history.csv",
    }
    again = [*run, "--name", "two", "--model", "model_y", *asked]
    out = told(*again, "--epochs", "2", "--resume", f"{first}/best_checkpoint.npz")
    second = tmp_path / "runs" / out.split()[-1].rsplit("/", 1)[-1]
    changes = (second / "experiment_changes.log").read_text(encoding="utf-8")
    assert 'model: "model_x" -> "model_y"' in changes
    assert "epochs: 1 -> 2" in changes

    nets = [str(folder / "net.keras") for folder in (first, second)]
    weights = tmp_path / "weights.json"
    out = told("ensemble", *nets, "-o", str(weights), *shared)
    assert "ensemble: accuracy" in out
    assert "happy/sad/unknown, FER2013 labels" in out
    assert "nats (n = " in out
    out = told("ensemble", *nets, "--mirror", nets[0], "-o", str(weights), *shared)
    assert out.startswith("on PublicTest, one view, both of net.keras")
    assert json.loads(weights.read_text(encoding="utf-8"))["mirror"] == [nets[0]]
    assert len(json.loads(weights.read_text(encoding="utf-8"))["weights"]["fer2013"]) == 2
    copied = tmp_path / "kept" / "x.keras"
    assert "epoch 2" in told("export", str(second), "-o", str(copied))
    assert copied.with_suffix(".json").exists()
    out = told("report", *map(str, (first, second)), "-o", str(tmp_path / "report"), *shared)
    assert out.split()[-1].endswith("table.md")
    table = (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    assert table.count("FER2013 labels | 3 | PublicTest | 1 | 16") == 2
    assert len(list((tmp_path / "report").glob("*/reliability.png"))) == 2


@pytest.mark.slow
def test_any_folder_of_pictures(tmp_path: Path) -> None:
    """Kaggle's two folders or one split here; a picture that cannot be read is told by name."""
    for split, count in (("train", 12), ("test", 4)):
        for i in range(count):
            put(tmp_path / "faces" / split / "happy" / f"{i}.png", 200)
            put(tmp_path / "faces" / split / "sad" / f"{i}.png", 60)
    (tmp_path / "faces" / "train" / "sad" / "broken.png").write_bytes(b"\x89PNG")
    where = ["--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs")]
    small = ["--epochs", "1", "--batch-size", "4", "--classes", "happy,sad"]
    for root, held in (("faces", "8 held out"), ("faces/train", " held out")):
        pictures = ["--pictures", str(tmp_path / root)]
        out = told("run", "--name", "own", "--model", "model_y", *pictures, *small, *where)
        assert "1 left out: sad/broken.png" in out
        assert held in out
    found = CliRunner().invoke(
        main, ["run", "--name", "own", "--model", "dense", "--pictures", str(tmp_path), *where]
    )
    assert found.exit_code == 78
    assert "--pictures is for model_x and model_y" in found.output


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_can_go_on(made_up: Path, tmp_path: Path) -> None:
    """One line and 130; what was finished is a whole checkpoint."""
    where = ["--data", str(made_up), "--cache", str(tmp_path), "--runs", str(tmp_path / "runs")]
    asked = ["--name", "long", "--model", "model_y", "--epochs", "9999", "--batch-size", "16"]
    run = subprocess.Popen(
        [sys.executable, "-m", "train.cli", "run", *asked, *where],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert run.stdout is not None
    for line in run.stdout:
        if line.startswith("epoch 2 "):
            break
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate()
    assert run.returncode == 130
    assert out.splitlines()[-1].startswith("stopped; --resume goes on")
    done = sorted((tmp_path / "runs").glob("*-long/checkpoints/*"))
    assert {path.suffix for path in done} <= {".npz", ".part"}
    assert load_checkpoint([path for path in done if path.suffix == ".npz"][-1]).epoch >= 2


def test_only_members_are_mirrored(tmp_path: Path) -> None:
    """A net that is to be mirrored but is no member is named, before anything is read."""
    one, two, other = (tmp_path / f"{name}.keras" for name in ("one", "two", "other"))
    with pytest.raises(InputError, match=r"other\.keras: to be mirrored, but not among the nets"):
        weigh(
            (one, two),
            split="PublicTest",
            mirrored=False,
            mirror=(other,),
            classes=(),
            data=tmp_path,
            cache=tmp_path,
        )

"""Runs from the command line: flags, folders of images, Ctrl-C, ensembles."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")
pytest.importorskip("matplotlib", reason="needs the training environment: make test-train")

from click.testing import CliRunner

from emoshift.errors import InputError
from train.cli import main
from train.evaluation.ensemble import evaluate_ensemble
from train.training.checkpoint import load_checkpoint
from train.training.run_folder import run_state

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def output_of(*arguments: str) -> str:
    found = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def put(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((48, 48), grey, np.uint8))


@pytest.mark.slow
def test_from_flags_to_an_ensemble(made_up: Path, tmp_path: Path) -> None:
    """Merged classes, balanced and weighted; every flag is kept; two networks are combined."""
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
    out = output_of(*run, "--name", "one", "--device", "cpu", "--epochs", "1", *asked)
    assert "rate is now called learning_rate" in out
    assert "48 images (16 happy, 16 sad, 16 unknown), 16 held out; 1 epochs" in out
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
    out = output_of(*again, "--epochs", "2", "--resume", f"{first}/best_checkpoint.npz")
    second = tmp_path / "runs" / out.split()[-1].rsplit("/", 1)[-1]
    changes = (second / "experiment_changes.log").read_text(encoding="utf-8")
    assert 'model: "model_x" -> "model_y"' in changes
    assert "epochs: 1 -> 2" in changes

    nets = [str(folder / "net.keras") for folder in (first, second)]
    weights = tmp_path / "weights.json"
    out = output_of("ensemble", *nets, "-o", str(weights), *shared)
    assert "ensemble: accuracy" in out
    assert "happy/sad/unknown, FER2013 labels" in out
    assert "nats (n = " in out
    out = output_of("ensemble", *nets, "--mirror", nets[0], "-o", str(weights), *shared)
    assert out.startswith("on PublicTest, one view, both of net.keras")
    assert json.loads(weights.read_text(encoding="utf-8"))["mirror"] == [nets[0]]
    assert len(json.loads(weights.read_text(encoding="utf-8"))["weights"]["fer2013"]) == 2
    copied = tmp_path / "kept" / "x.keras"
    assert "epoch 2" in output_of("export", str(second), "-o", str(copied))
    assert copied.with_suffix(".json").exists()
    found = CliRunner().invoke(main, ["export", str(second), "-o", str(copied), "--epoch", "1"])
    assert "only runs of networks with two heads keep each epoch's" in found.output
    out = output_of("report", *map(str, (first, second)), "-o", str(tmp_path / "report"), *shared)
    assert out.split()[-1].endswith("table.md")
    table = (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    assert table.count("FER2013 labels | 3 | PublicTest | 1 | 16") == 2
    assert len(list((tmp_path / "report").glob("*/reliability.png"))) == 2


@pytest.mark.slow
def test_any_folder_of_images(tmp_path: Path) -> None:
    """Kaggle's two folders or one split here; an image that cannot be read is named."""
    for split, count in (("train", 12), ("test", 4)):
        for i in range(count):
            put(tmp_path / "faces" / split / "happy" / f"{i}.png", 200)
            put(tmp_path / "faces" / split / "sad" / f"{i}.png", 60)
    (tmp_path / "faces" / "train" / "sad" / "broken.png").write_bytes(b"\x89PNG")
    where = ["--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs")]
    small = ["--epochs", "1", "--batch-size", "4", "--classes", "happy,sad"]
    for root, held in (("faces", "8 held out"), ("faces/train", " held out")):
        images = ["--images", str(tmp_path / root)]
        out = output_of("run", "--name", "own", "--model", "model_y", *images, *small, *where)
        assert "1 left out: sad/broken.png" in out
        assert held in out
    found = CliRunner().invoke(
        main, ["run", "--name", "own", "--model", "dense", "--images", str(tmp_path), *where]
    )
    assert found.exit_code == 78
    assert "--images is for model_x and model_y" in found.output


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_can_go_on(made_up: Path, tmp_path: Path) -> None:
    """One line and 130; a whole checkpoint, the network and the report of the last epoch."""
    where = ["--data", str(made_up), "--cache", str(tmp_path), "--runs", str(tmp_path / "runs")]
    options = ["--name", "long", "--model", "model_y", "--epochs", "9999", "--batch-size", "16"]
    process = subprocess.Popen(
        [sys.executable, "-m", "train.cli", "run", *options, *where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2/9999:"):
            break
    (folder,) = (tmp_path / "runs").glob("*-long")
    assert run_state(folder) == "running"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out.splitlines()[-1].startswith("stopped; to go on: --resume ")
    assert "oneDNN" not in err
    assert "absl::InitializeLog" not in err
    checkpoints = sorted(folder.glob("checkpoints/*.npz"))
    assert load_checkpoint(checkpoints[-1]).epoch >= 2
    assert {path.name for path in folder.iterdir()} >= {
        "classification_report.txt",
        "confusion_matrix.png",
        "learning_curves.png",
        "net.keras",
        "reliability.png",
    }
    assert run_state(folder) == "stopped"
    listed = output_of("list", "--runs", str(tmp_path / "runs"))
    assert re.search(r"-long +model_y +\d+ +val_accuracy 0\.\d{4} \(epoch \d+\) +stopped", listed)


@pytest.mark.slow
def test_a_killed_run_is_listed_as_interrupted(made_up: Path, tmp_path: Path) -> None:
    """Nothing was left to say so, but it runs no longer."""
    where = ["--data", str(made_up), "--cache", str(tmp_path), "--runs", str(tmp_path / "runs")]
    options = ["--name", "gone", "--model", "model_y", "--epochs", "9999", "--batch-size", "16"]
    process = subprocess.Popen(
        [sys.executable, "-m", "train.cli", "run", *options, *where],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 1/9999:"):
            break
    process.kill()
    process.communicate()
    assert " interrupted" in output_of("list", "--runs", str(tmp_path / "runs"))


def test_only_members_are_mirrored(tmp_path: Path) -> None:
    """A network that is to be mirrored but is no member is named, before anything is read."""
    one, two, other = (tmp_path / f"{name}.keras" for name in ("one", "two", "other"))
    with pytest.raises(
        InputError, match=r"other\.keras: to be mirrored, but not among the networks"
    ):
        evaluate_ensemble(
            (one, two),
            split="PublicTest",
            mirrored=False,
            mirror=(other,),
            classes=(),
            data=tmp_path,
            cache=tmp_path,
        )

"""Networks with two heads on JAX: whole epochs on the device, in the folder of any other run."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs JAX: the training environment brings it")
pytest.importorskip("keras", reason="needs the training environment: make test-train")

from train.training.checkpoint import load_checkpoint
from train.training.run_folder import read_rows, run_state

ROOT = Path(__file__).parents[3]
EPOCHS = 12
TOY = f"""
model = "residual"
seed = 4
batch_size = 16
ema_decay = 0.8
[[phases]]
epochs = {EPOCHS}
image_size = 16
learning_rate = 0.1
end_learning_rate = 0.0
curve = "cosine"
[augmentation]
rotation_deg = 5.0
shift = 0.05
flip = 0.5
[network]
stem = 8
widths = [8]
blocks = [1]
dropout = 0.2
"""
# One process for all runs: JAX compiles much of what they share once.
RUNS = """
import sys
from pathlib import Path
from emoshift.errors import InputError
from train.training.run import RunOptions, start_run

data, recipe, runs = map(Path, sys.argv[1:])

def run(name, **more):
    return start_run(
        RunOptions(name=name, recipe=recipe, runs=runs, data=data, cache=runs / "cache", **more)
    )

whole = run("whole")
run("resumed", resume=whole / "checkpoints" / "epoch-010.npz")
run("half", leave_out="1/2")
try:
    run("bf16", precision="bfloat16")
except InputError as why:
    print(why)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], str]:
    """Return the folders of three runs by name, and what they printed."""
    folder = tmp_path_factory.mktemp("device")
    write_bands(folder / "fer2013")
    (folder / "toy.toml").write_text(TOY, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUNS, folder, folder / "toy.toml", folder / "runs"],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {path.name.split("-", 2)[2]: path for path in (folder / "runs").glob("2*")}
    return found, done.stdout


def write_bands(folder: Path) -> None:
    """Write a FER2013 whose label is the height of a bright band."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    usage = ["Training"] * 128 + ["PublicTest"] * 64
    emotions = rng.permutation(np.arange(len(usage)) % 7)
    # FER2013 and FER+ name the emotions in other orders.
    columns = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear"]
    named = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    with (folder / "fer2013.csv").open("w", newline="", encoding="ascii") as stream:
        writer = csv.writer(stream)
        writer.writerow(["emotion", "pixels", "Usage"])
        for emotion, split in zip(emotions, usage, strict=True):
            pixels = rng.integers(0, 60, (48, 48))
            pixels[6 * emotion : 6 * emotion + 10] += 150
            writer.writerow([emotion, " ".join(map(str, pixels.ravel())), split])
    with (folder / "fer2013new.csv").open("w", newline="", encoding="ascii") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Usage", "Image name", *columns, "contempt", "unknown", "NF"])
        for row, (emotion, split) in enumerate(zip(emotions, usage, strict=True)):
            votes = [10 * (column == named[emotion]) for column in columns]
            writer.writerow([split, f"fer{row:07d}.png", *votes, 0, 0, 0])


def test_it_learns(runs: tuple[dict[str, Path], str]) -> None:
    """The loss falls, both heads are right on images held out, and all of it is on record."""
    folders, _ = runs
    rows = read_rows(folders["whole"] / "training_history.csv")
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 1))
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert float(rows[-1]["ferplus_accuracy"]) > 0.8
    assert float(rows[-1]["fer2013_accuracy"]) > 0.8
    assert float(rows[-1]["learning_rate"]) < 0.001
    assert {path.name for path in folders["whole"].iterdir()} >= {
        "best_checkpoint.npz",
        "classification_report.txt",
        "learning_curves.png",
        "net.keras",
    }


def test_resumed_is_bit_identical_to_unbroken(runs: tuple[dict[str, Path], str]) -> None:
    """Weights, optimiser, moving average and dropout go on."""
    first, second = (
        load_checkpoint(runs[0][name] / "checkpoints" / f"epoch-{EPOCHS:03d}.npz")
        for name in ("whole", "resumed")
    )
    for group in ("variables", "optimiser", "export"):
        for here, there in zip(getattr(first, group), getattr(second, group), strict=True):
            np.testing.assert_array_equal(here, there)
    assert [{**row, "seconds": 0} for row in first.history] == [
        {**row, "seconds": 0} for row in second.history
    ]


def test_a_part_is_left_out(runs: tuple[dict[str, Path], str]) -> None:
    """The run learns from the others alone, and says which part it can teach."""
    folders, printed = runs
    config = json.loads((folders["half"] / "experiment_config.json").read_text(encoding="utf-8"))
    assert config["left_out"] == "1/2"
    (line,) = {line for line in printed.splitlines() if "part 1/2 left out" in line}
    assert 0 < int(line.split()[0]) < 128
    half, whole = (
        load_checkpoint(folders[name] / "checkpoints" / f"epoch-{EPOCHS:03d}.npz")
        for name in ("half", "whole")
    )
    assert any((a != b).any() for a, b in zip(half.export, whole.export, strict=True))


def test_bfloat16_on_a_processor_is_refused(runs: tuple[dict[str, Path], str]) -> None:
    """It would be slower there; by itself a run takes it on a GPU alone."""
    folders, printed = runs
    assert printed.splitlines()[-1].startswith("--precision bfloat16: JAX gains by it on a GPU")
    assert run_state(folders["bf16"]) == "failed"

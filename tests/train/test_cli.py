"""The command line: every command explains itself, and a toy goes from data to report."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")
pytest.importorskip("matplotlib", reason="needs the training environment: make test-train")

from click.testing import CliRunner

from train.cli import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TOY = """
model = "residual"
seed = 4
batch_size = 16
[[phases]]
epochs = {epochs}
image_size = 48
learning_rate = 0.02
[network]
stem = 4
widths = [4]
blocks = [1]
"""


@pytest.mark.parametrize("name", [None, *main.commands])
def test_help_shows_an_example(name: str | None) -> None:
    """Nobody has to guess how a command is called."""
    for flag in ("-h", "--help"):
        found = CliRunner().invoke(main, [flag] if name is None else [name, flag])
        assert found.exit_code == 0
        assert "Example:" in found.output


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        pytest.param(["evaluate", "none.keras", "--data", "."], "no such file", 66, id="no net"),
        pytest.param(
            ["run", "--name", "x", "--recipe", "none.toml"], "none.toml", 66, id="no recipe"
        ),
        pytest.param(
            ["export", "none", "-o", "x.keras"], "give the folder of a run", 66, id="no run"
        ),
        pytest.param(["run", "--name", "x"], "give --recipe FILE or --model NAME", 2, id="nothing"),
        pytest.param(["run", "--list"], "run 'train list'", 2, id="list of a run"),
        pytest.param(["--list"], "run 'train list'", 2, id="list"),
        pytest.param(
            ["run", "--name", "x", "--model", "model_x", "--data", "none"],
            "none: no such folder; fer2013/ and ckplus48/ are expected in it",
            66,
            id="no data there",
        ),
    ],
)
def test_expected_errors_are_one_line(arguments: list[str], said: str, code: int) -> None:
    """The exit codes are the project's."""
    with CliRunner().isolated_filesystem():
        found = CliRunner().invoke(main, arguments)
    assert found.exit_code == code
    assert said in found.output
    assert found.output.count("\n") == 1


def test_a_recipe_that_learns_from_a_teacher() -> None:
    """Whoever leaves the teacher out is told which file there is."""
    with CliRunner().isolated_filesystem():
        found = CliRunner().invoke(main, ["run", "--name", "x", "--model", "cnn_a"])
    assert found.exit_code == 78
    assert "give --teacher FILE, such as models/sources/taught_labels.npz" in found.output


def test_without_a_data_folder_one_line_says_how_to_give_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No folder is guessed."""
    monkeypatch.delenv("EMOSHIFT_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, ["run", "--name", "x", "--model", "model_x"])
    assert found.exit_code == 66
    assert "give --data FOLDER or set EMOSHIFT_DATA" in found.output


def test_no_runs_yet(tmp_path: Path) -> None:
    """An empty folder is no error."""
    assert "no runs in" in CliRunner().invoke(main, ["list", "--runs", str(tmp_path)]).output


@pytest.mark.slow
def test_from_data_to_report(made_up: Path, tmp_path: Path) -> None:
    """Train, go on with a changed recipe, list, export, evaluate."""
    for epochs in (1, 2):
        (tmp_path / f"{epochs}.toml").write_text(TOY.format(epochs=epochs), encoding="utf-8")
    shared = ["--data", str(made_up), "--cache", str(tmp_path / "cache")]
    runs = ["--runs", str(tmp_path / "runs")]

    def run_train(*arguments: str) -> str:
        found = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert found.exit_code == 0, found.output
        return found.output

    recipe = ["--recipe", str(tmp_path / "1.toml")]
    first = run_train("run", "--name", "one", *recipe, *shared, *runs).split()[-1]
    recipe = ["--recipe", str(tmp_path / "2.toml"), "--resume", f"{first}/best_checkpoint.npz"]
    faster = ["--keep", "1", "--precision", "bfloat16"]
    second = run_train("run", "--name", "two", *faster, *recipe, *shared, *runs).split()[-1]
    listed = run_train("list", *runs)
    assert re.search(r"-one +residual +1 +ferplus_accuracy 0\.\d{4} \(epoch 1\) +finished", listed)
    assert re.search(
        r"-two +residual +2 +ferplus_accuracy 0\.\d{4} \(epoch [12]\) +finished", listed
    )
    folder = tmp_path / "runs" / second.split("/")[-1]
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["epoch-002.npz"]
    changed = (folder / "experiment_changes.log").read_text(encoding="utf-8")
    assert "phases" in changed
    assert 'precision: "auto" -> "bfloat16"' in changed
    assert json.loads((folder / "experiment_config.json").read_text())["resumed"].endswith(".npz")

    assert run_train("report", second).strip().endswith("learning_curves.png")
    assert {path.name for path in folder.iterdir()} >= {
        "best_checkpoint.npz",
        "classification_report.txt",
        "confusion_matrix.png",
        "learning_curves.png",
        "net.keras",
        "reliability.png",
        "training_history.csv",
    }
    net = str(tmp_path / "net.keras")
    assert "epoch 2" in run_train("export", second, "-o", net)
    report = tmp_path / "report"
    found = run_train("evaluate", net, "--mirrored", "--tau", "1", "--report", str(report), *shared)
    assert "both mirror views of 48x48" in found
    assert "divided by class shares to the power 1: FER+8 accuracy" in found
    assert "FER2013-7 accuracy" in found
    assert "n = 16" in found
    assert {path.name for path in report.iterdir()} == {
        "classification_report.txt",
        "confusion_matrix.png",
        "reliability.png",
    }
    for name, emotion in (("S001_001_00000011", "anger"), ("S002_001_00000012", "contempt")):
        peak = made_up / "ckplus48" / "CK+48" / emotion / f"{name}.png"
        peak.parent.mkdir(parents=True)
        cv2.imwrite(str(peak), np.full((48, 48), 99, np.uint8))
    found = run_train("evaluate", net, "--split", "CK+48", "--tau", "1", *shared)
    assert "never trained on" in found
    assert "ferplus head, tau 0: accuracy" in found
    assert "fer2013 head, tau 1: accuracy" in found
    assert "both heads, tau 1: accuracy" in found
    assert found.count("(n = 1); recall angry") == 6

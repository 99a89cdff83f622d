"""CK+48 by recording, and the comparison on it from the command line."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")
pytest.importorskip("sklearn", reason="needs the training environment: make test-train")

from click.testing import CliRunner

from emoshift.errors import InputError
from train.cli import main
from train.data.ckplus48 import read_sequences
from train.data.image_folder import subject_folds
from train.training.sequence_experiment import summarise

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TOY = """
model = "sequences"
seed = 7
folds = 2
image_size = 16
batch_size = 4
epochs = 1
[reinforcement]
epochs = 2
[[nets]]
name = "rnn"
filters = [2, 2]
units = 4
[[nets]]
name = "cnn"
filters = [2, 2]
units = 4
"""


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Fourteen recordings of seven people, so unequal folds, each frame brighter than the last."""
    for person in range(7):
        for emotion in ("anger", "happy"):
            folder = tmp_path / "data" / "ckplus48" / "CK+48" / emotion
            folder.mkdir(parents=True, exist_ok=True)
            for frame in range(3):
                grey = np.full((48, 48), 40 * (frame + 1) + person, np.uint8)
                grey[:24] += 50 * (emotion == "happy")
                name = f"S{person:03d}_{1 if emotion == 'anger' else 2:03d}_{frame + 9:08d}.png"
                cv2.imwrite(str(folder / name), grey)
    return tmp_path / "data"


def test_frames_stand_together_in_time(recordings: Path) -> None:
    """One row a recording, its frames in order, its person named."""
    found = read_sequences(recordings / "ckplus48")
    assert found.frames.shape == (14, 3, 48, 48)
    assert found.names == ("angry", "happy")
    assert found.labels.tolist() == [0] * 7 + [1] * 7
    assert len(set(found.subjects)) == 7
    assert (np.diff(found.frames[:, :, 40, 0].astype(int), axis=1) == 40).all()
    assert not found.problems.lines


def test_a_cut_recording_is_reported(recordings: Path) -> None:
    """Two frames are no sequence; the others are read all the same."""
    folder = recordings / "ckplus48" / "CK+48" / "happy"
    (folder / "S000_002_00000010.png").unlink()
    found = read_sequences(recordings / "ckplus48")
    assert len(found.labels) == 13
    assert found.problems.lines == ("happy/S000_002: 2 frames, expected 3",)
    for path in [*folder.iterdir(), *(folder.parent / "anger").iterdir()]:
        if path.name.endswith("11.png"):
            path.unlink()
    with pytest.raises(InputError, match="found no recording of 3 frames"):
        read_sequences(recordings / "ckplus48")


def test_spreads_are_over_folds_and_seeds() -> None:
    """The mean is over sequences, each asked once a seed."""
    rows = [
        {"net": "a", "phase": "p", "seed": seed, "fold": fold, "n": n, "right": right}
        for seed, fold, n, right in ((1, 0, 10, 5), (1, 1, 30, 15), (2, 0, 10, 7), (2, 1, 30, 21))
    ]
    (found,) = summarise(rows)
    assert found["n"] == 40
    assert found["mean"] == pytest.approx(0.6)
    assert found["fold_std"] == pytest.approx(0.0)
    assert found["seed_std"] == pytest.approx(np.std([0.5, 0.7], ddof=1))


@pytest.mark.slow
def test_from_pictures_to_figures(recordings: Path, tmp_path: Path) -> None:
    """Every net on every fold in every phase; rewards and penalties kept and drawn."""
    recipe = tmp_path / "toy.toml"
    recipe.write_text(TOY, encoding="utf-8")
    call = ["sequences", "--name", "toy", "--recipe", str(recipe), "--data", str(recordings)]
    found = CliRunner().invoke(
        main, [*call, "--runs", str(tmp_path / "runs")], catch_exceptions=False
    )
    assert found.exit_code == 0, found.output
    assert "14 sequences, 7 people; all readable" in found.output
    (folder,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} >= {
        "cnn-reinforced",
        "episodes.csv",
        "episodes.png",
        "epochs.csv",
        "experiment_config.json",
        "folds.csv",
        "folds.png",
        "rnn-supervised_longer",
        "summary.json",
        "table.md",
    }
    with (folder / "folds.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 2 * 3
    for net in ("rnn", "cnn"):
        asked = sum(int(r["n"]) for r in rows if (r["net"], r["phase"]) == (net, "reinforced"))
        assert asked == 14
    with (folder / "episodes.csv").open(newline="", encoding="utf-8") as stream:
        episodes = list(csv.DictReader(stream))
    runs = Counter((e["net"], e["fold"]) for e in episodes)
    assert len(runs) == 2 * 2
    assert len(set(runs.values())) == 2, "a smaller fold leaves more to learn from"
    assert all(float(e["reward"]) + float(e["penalty"]) == pytest.approx(1) for e in episodes)


@pytest.mark.data
def test_the_set_itself(shared_data: Path) -> None:
    """327 recordings of 118 people, and five folds that each hold some of every emotion."""
    found = read_sequences(shared_data / "ckplus48")
    assert found.frames.shape == (327, 3, 48, 48)
    assert len(set(found.subjects)) == 118
    folds = subject_folds(found.subjects, 5, seed=1)
    assert all(set(found.labels[folds == fold].tolist()) == set(range(7)) for fold in range(5))


@pytest.mark.slow
def test_folds_of_less_than_a_batch_are_refused(recordings: Path, tmp_path: Path) -> None:
    """With what to change, before anything is learned."""
    recipe = tmp_path / "toy.toml"
    recipe.write_text(TOY.replace("batch_size = 4", "batch_size = 16"), encoding="utf-8")
    call = ["sequences", "--name", "toy", "--recipe", str(recipe), "--data", str(recordings)]
    found = CliRunner().invoke(main, [*call, "--runs", str(tmp_path / "runs")])
    assert found.exit_code == InputError.exit_code
    assert "expected at least one batch of 16" in found.output

"""A tiny ViT, saved by the test, is fine-tuned, resumed, scored and made a teacher, offline."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra hf: make test-hf")
pytest.importorskip("transformers", reason="needs the extra hf: make test-hf")

import torch
import transformers
from click.testing import CliRunner

from emoshift.errors import InputError
from train.cli import main
from train.data.ferplus import LABELS
from train.data.images import read_images
from train.evaluation.predictions import image_logits
from train.huggingface.classifier import open_classifier, with_both_heads
from train.saved_net import open_scorer
from train.training.distillation import read_teacher

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

WORDS = ["sad", "disgust", "angry", "neutral", "fear", "surprised", "happiness"]
TOY = """
model = "huggingface"
seed = 6
epochs = {epochs}
batch_size = 16
learning_rate = 1e-3
"""


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    """A ViT of one layer that names seven emotions in its own words and order."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        id2label=dict(enumerate(WORDS)),
        label2id={word: i for i, word in enumerate(WORDS)},
    )
    folder = tmp_path / "vit"
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    preprocessing = {
        "image_mean": [0.4] * 3,
        "image_std": [0.2] * 3,
        "size": {"height": 32, "width": 32},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing), encoding="utf-8")
    return folder


@pytest.fixture
def options(made_up: Path, tmp_path: Path) -> list[str]:
    folders = {"--data": made_up, "--cache": tmp_path / "cache"}
    return [str(word) for option in folders.items() for word in option]


def run_train(*arguments: str) -> str:
    found = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def fine_tuned(vit: Path, options: list[str], folder: Path, *more: str, epochs: int = 2) -> Path:
    recipe = folder / f"{epochs}.toml"
    recipe.write_text(TOY.format(epochs=epochs), encoding="utf-8")
    call = ["--model", str(vit), "--recipe", str(recipe), "--runs", str(folder / "runs"), *options]
    output = run_train("run", "--name", f"e{epochs}", *call, *more)
    return folder / "runs" / output.strip().splitlines()[-1].rsplit("/", 1)[-1]


def test_its_own_labels_are_read_in_our_order(vit: Path) -> None:
    """Other words and another order: each output goes to its emotion."""
    classifier = open_classifier(vit)
    assert classifier.side_px == 32
    assert classifier.heads == {"fer2013": (2, 1, 4, 6, 0, 5, 3)}
    inputs = np.random.default_rng(1).normal(size=(3, 48, 48, 1)).astype(np.float32)
    with torch.inference_mode():
        before = classifier.logits(inputs)["fer2013"].numpy()
        both = with_both_heads(classifier, seed=1).logits(inputs)
    np.testing.assert_allclose(both["fer2013"].numpy(), before, atol=1e-5)
    np.testing.assert_allclose(both["ferplus"].numpy()[:, :7], before, atol=1e-5)
    assert both["ferplus"].shape == (3, len(LABELS))


def test_pictures_are_fed_in_the_checkpoints_own_scale(vit: Path) -> None:
    """A crop of one grey value comes out of its preprocessing as one value, the right one."""
    classifier = open_classifier(vit)
    seen: list[torch.Tensor] = []
    classifier.net.register_forward_pre_hook(
        lambda _, __, named: seen.append(named["pixel_values"]), with_kwargs=True
    )
    with torch.inference_mode():
        classifier.logits(np.full((1, 48, 48, 1), (204 - 128) / 64, np.float32))
    assert seen[0].shape == (1, 3, 32, 32)
    np.testing.assert_allclose(seen[0].numpy(), (204 / 255 - 0.4) / 0.2, atol=1e-5)


def test_from_checkpoint_to_teacher(
    vit: Path, options: list[str], made_up: Path, tmp_path: Path
) -> None:
    """Fine-tune, evaluate and teach with the usual commands."""
    run = fine_tuned(vit, options, tmp_path)
    assert {path.name for path in run.iterdir()} >= {
        "best_checkpoint.pt",
        "classification_report.txt",
        "confusion_matrix.png",
        "experiment_config.json",
        "learning_curves.png",
        "net",
        "training_history.csv",
    }
    assert "n = 16" in run_train("evaluate", str(run / "net"), *options)
    teacher = tmp_path / "teacher.npz"
    assert "64 images" in run_train("teach", str(run / "net"), "-o", str(teacher), *options)
    train = read_images(made_up, tmp_path / "cache", "Training")
    taught = read_teacher(teacher, train.rows)
    np.testing.assert_allclose(taught.ferplus.sum(axis=1), 1.0, atol=1e-5)
    again = fine_tuned_with(teacher, vit, options, tmp_path)
    config = json.loads((again / "experiment_config.json").read_text(encoding="utf-8"))
    assert config["teacher"] == str(teacher)
    assert config["recipe"]["data"]["weights"]["happy"] == 2.5
    assert config["asked"]["model"] == str(vit)


def fine_tuned_with(teacher: Path, vit: Path, options: list[str], folder: Path) -> Path:
    recipe = folder / "taught.toml"
    recipe.write_text(TOY.format(epochs=1) + "teacher_share = 0.5\n", encoding="utf-8")
    call = ["--model", str(vit), "--recipe", str(recipe), "--runs", str(folder / "runs"), *options]
    output = run_train(
        "run", "--name", "taught", *call, "--teacher", str(teacher), "--happy", "2.5"
    )
    return folder / "runs" / output.strip().splitlines()[-1].rsplit("/", 1)[-1]


def test_resumed_is_the_same_as_unbroken(
    vit: Path, options: list[str], made_up: Path, tmp_path: Path
) -> None:
    """Net, optimiser, dropout and order go on where they were."""
    whole = fine_tuned(vit, options, tmp_path)
    first = str(whole / "checkpoints" / "epoch-001.pt")
    (tmp_path / "again").mkdir()
    resumed = fine_tuned(vit, options, tmp_path / "again", "--resume", first)
    crops = read_images(made_up, tmp_path / "cache", "PublicTest").crops
    one, two = (image_logits(open_scorer(run / "net"), crops) for run in (whole, resumed))
    np.testing.assert_allclose(one["ferplus"], two["ferplus"], atol=1e-6)
    with (resumed / "training_history.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2"]


def test_expected_errors_are_one_line(vit: Path, options: list[str], tmp_path: Path) -> None:
    """What is no checkpoint, or names other things, or lacks a head, says so."""
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="not an image-classification checkpoint"):
        open_classifier(empty)
    config = json.loads((vit / "config.json").read_text(encoding="utf-8"))
    lacking = CliRunner().invoke(main, ["teach", str(vit), "-o", str(tmp_path / "t.npz"), *options])
    assert lacking.exit_code == 66
    assert "a teacher needs both heads" in lacking.output
    config["id2label"] = {str(i): f"cat {i}" for i in range(7)}
    (vit / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match="expected one for angry"):
        open_classifier(vit)

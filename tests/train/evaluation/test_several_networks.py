"""Networks side by side are told apart, and every head's logits are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the training environment: make test-train")
pytest.importorskip("matplotlib", reason="needs the training environment: make test-train")

import keras

from emoshift.errors import InputError, UsageError
from train.evaluation.ensemble import evaluate_ensemble
from train.evaluation.evaluate import evaluate
from train.evaluation.tables import write_tables

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def save_network(path: Path, seed: int) -> Path:
    """Write a network with both heads and random weights."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((48, 48, 1))
    flat = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    heads = {"ferplus": keras.layers.Dense(8)(flat), "fer2013": keras.layers.Dense(7)(flat)}
    path.parent.mkdir(parents=True, exist_ok=True)
    keras.Model(inputs, heads).save(path)
    return path


def test_files_of_one_name_are_told_apart(made_up: Path, tmp_path: Path) -> None:
    """Each has a weight and a row of its own; one that is given twice is refused."""
    cache = tmp_path / "cache"
    nets = [save_network(tmp_path / f"{i}" / "best.keras", i) for i in range(2)]
    asked = {"split": "PublicTest", "mirrored": False, "data": made_up, "cache": cache}
    weights = tmp_path / "weights.json"
    evaluate_ensemble(nets, classes=(), output=weights, **asked)
    kept = json.loads(weights.read_text(encoding="utf-8"))["weights"]
    assert {label_set: set(each) for label_set, each in kept.items()} == {
        "ferplus": set(map(str, nets)),
        "fer2013": set(map(str, nets)),
    }
    table = write_tables(nets, tmp_path / "report", **asked).read_text(encoding="utf-8")
    assert all(table.count(f"| {net} |") == 2 for net in nets)
    assert len(list((tmp_path / "report").glob("*/reliability.png"))) == 4
    with pytest.raises(InputError, match="named twice"):
        evaluate_ensemble([nets[0], nets[0]], classes=(), **asked)


def test_logits_of_both_heads_are_kept(made_up: Path, tmp_path: Path) -> None:
    """In merged classes too, each beside its rows; a row without a label of a head has none."""
    path = tmp_path / "logits.npz"
    evaluate(
        save_network(tmp_path / "best.keras", 0),
        split="PublicTest",
        mirrored=False,
        classes=("happy", "sad", "unknown=angry+disgust+fear+surprise+neutral+contempt"),
        data=made_up,
        cache=tmp_path / "cache",
        logits_path=path,
    )
    with np.load(path) as kept:
        rows, own, ferplus = kept["rows"], kept["fer2013"], kept["ferplus"]
    assert own.shape == ferplus.shape == (len(rows), 3)
    assert not np.isnan(own).any()
    labelled = ~np.isnan(ferplus[:, 0])
    assert 0 < labelled.sum() < len(rows)
    assert np.exp(ferplus[labelled]).sum(axis=1) == pytest.approx(1.0, abs=1e-4)


def test_what_cannot_be_scored_is_said_in_a_line(made_up: Path, tmp_path: Path) -> None:
    """A split without rows, a network that takes no such images, an option that does nothing."""
    cache, folder = tmp_path / "cache", made_up / "fer2013"
    net = save_network(tmp_path / "best.keras", 0)
    asked = {"mirrored": False, "classes": (), "data": made_up, "cache": cache}
    inputs = keras.Input((64, 64, 1))
    other = tmp_path / "other.keras"
    keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(inputs))).save(other)
    with pytest.raises(InputError, match=r"takes \(64, 64, 1\), expected images \(48, 48, 1\)"):
        evaluate(other, split="PublicTest", **asked)
    with pytest.raises(UsageError, match="--logits: does nothing for --split CK"):
        evaluate(net, split="CK+48", logits_path=tmp_path / "l.npz", **asked)
    for name in ("fer2013.csv", "fer2013new.csv"):
        lines = (folder / name).read_text(encoding="ascii").splitlines(keepends=True)
        kept = (line for line in lines if "PrivateTest" not in line)
        (folder / name).write_text("".join(kept), encoding="ascii")
    with pytest.raises(InputError, match="holds no row of PrivateTest"):
        evaluate(net, split="PrivateTest", **asked)

"""The same bundle predicts alike in LiteRT and in tflite-runtime 2.14.

It builds the second environment once, under ``.cache/tflite-runtime``, which needs a package index
and Python 3.11.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convert.runtime_check import compare, predictions
from edge.bundle.loader import default_bundle_path, load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from edge.classifier.member import dequantise
from tests.support.handmade_bundle import write_bundle

ROOT = Path(__file__).parents[2]
LEVELS = 8
"""Of 256. Kernels of different generations round differently; more than this is no rounding."""


@pytest.fixture(scope="module")
def old_python() -> Path:
    """Give a Python with tflite-runtime 2.14 and numpy 1, or skip."""
    python = shutil.which("python3.11") or (
        sys.executable if sys.version_info[:2] == (3, 11) else None
    )
    if python is None:
        pytest.skip("tflite-runtime 2.14 needs Python 3.11, which is not installed")
    folder = ROOT / ".cache" / "tflite-runtime"
    inside = folder / "bin" / "python"
    ready = inside.exists() and (
        subprocess.run([inside, "-c", "import tflite_runtime, pydantic"], check=False).returncode
        == 0
    )
    if not ready:
        subprocess.run([python, "-m", "venv", folder], check=True)
        wanted = ["tflite-runtime==2.14.0", "numpy<2", "pydantic>=2.10"]
        done = subprocess.run(
            [inside, "-m", "pip", "install", "--quiet", *wanted],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            pytest.skip(f"no package index has tflite-runtime 2.14: {done.stderr[-200:]}")
    return inside


def test_compare() -> None:
    """A comparison counts what differs, and by how much."""
    one = {"a": np.array([1, 2, 3], np.int8), "b": np.array([0], np.int8)}
    other = {"a": np.array([1, 4, 3], np.int8), "b": np.array([0], np.int8)}
    assert compare(one, other) == ["a: 3 values, 1 differ, by 2 at most", "b: 1 values, the same"]
    assert compare(one, {"a": one["a"]})[1] == "b: only in one of them"
    broken = {"a": np.array([1.0, np.nan, 3.0]), "b": np.array([0, 0], np.int8)}
    assert not any("the same" in line for line in compare(one, broken))
    assert "1 differ" in compare({"a": one["a"]}, {"a": broken["a"]})[0]


def test_answers_repeat(tmp_path: Path) -> None:
    """The fixed inputs and the models give the same predictions every time."""
    bundle = load_bundle(write_bundle(tmp_path / "b"))
    one, other = predictions(bundle), predictions(bundle)
    assert all("the same" in line for line in compare(one, other))
    assert set(one) == {"cnn_a.logits", "lstm_a.logits", "lstm_a.state_h", "lstm_a.state_c"}


@pytest.mark.slow
def test_two_runtimes(old_python: Path, tmp_path: Path) -> None:
    """Raw outputs differ by rounding alone, and certain predictions are the same."""
    if not (default_bundle_path() / MANIFEST_NAME).exists():
        pytest.skip("models/default is not built; run 'convert --quantize int8'")
    bundle = load_bundle(default_bundle_path())
    subprocess.run(
        [old_python, "-m", "convert.runtime_check", bundle.folder, tmp_path / "old.npz"],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    mine = predictions(bundle)
    with np.load(tmp_path / "old.npz") as arrays:
        old = dict(arrays)
    assert set(mine) == set(old)
    for name, array in mine.items():
        assert np.abs(array.astype(int) - old[name].astype(int)).max() <= LEVELS, name
    for member in bundle.manifest.members:
        here, there = (
            dequantise(found[f"{member.name}.logits"], member.output("logits"))
            for found in (mine, old)
        )
        top = np.sort(here, axis=1)
        sure = top[:, -1] - top[:, -2] > LEVELS * (member.output("logits").scale or 0)
        assert sure.any()
        np.testing.assert_array_equal(here[sure].argmax(1), there[sure].argmax(1))

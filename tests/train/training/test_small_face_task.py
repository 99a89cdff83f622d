"""The small-face network learns, and becomes what a device reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from edge.faces.small_face import SmallFaceNetwork
from tests.train.small_face.test_batches import samples
from train.networks.config import SmallFaceNet
from train.networks.residual import multiply_adds
from train.networks.small_face import build_small_face
from train.small_face.measure import write_samples
from train.training.run import start_run
from train.training.run_options import RunOptions
from train.training.small_face_task import point_error, shape_correlation

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_it_costs_what_it_may() -> None:
    """The shipped shape takes at most ten million multiply-adds a face."""
    assert multiply_adds(build_small_face(SmallFaceNet()), 64) < 10_000_000


def test_scores() -> None:
    """A perfect network errs by nothing, a shifted one by its shift."""
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 1, (5, 478, 3)).astype(np.float32)
    points[:, 33, :2], points[:, 263, :2] = (0.2, 0.5), (0.8, 0.5)
    assert point_error(points, points) == 0
    assert point_error(points + np.float32(0.06), points) == pytest.approx(0.06 * 2**0.5 / 0.6)
    levels = rng.normal(-2, 1, (30, 52)).astype(np.float32)
    assert shape_correlation(levels, levels) == pytest.approx(1.0)


@pytest.mark.slow
def test_from_faces_to_the_device(tmp_path: Path) -> None:
    """`train run` and `convert small-face` give files that the face stage reads."""
    from convert.small_face import convert_small_face

    cache = tmp_path / "cache"
    for name, count in (("Training", 600), ("PublicTest", 1100), ("clips", 8)):
        write_samples(cache / f"small-face-{name}.npz", samples(count, uneven=True))
    path = tmp_path / "tiny.toml"
    path.write_text(
        'model = "small_face"\nseed = 1\nepochs = 1\nbatch_size = 32\n[network]\nstem = 8\n'
        "widths = [8, 8, 16]\nblocks = [1, 1, 1]\nunits = 16\ncomponents = 8\n"
    )
    folder = start_run(
        RunOptions(name="tiny", recipe=path, runs=tmp_path / "runs", data=tmp_path, cache=cache),
        lambda _: None,
    )
    card = json.loads((folder / "net.json").read_text(encoding="utf-8"))
    assert "600 faces, and 8 frames" in card["trained_on"]
    report = convert_small_face(folder / "net.keras", tmp_path / "out", cache=cache)
    assert report.correlation > 0.99
    points, shapes, presence = SmallFaceNetwork(tmp_path / "out").read(
        np.full((3, 64, 64), 128, np.uint8)
    )
    assert points.shape == (3, 478, 3)
    assert shapes.shape == (3, 52)
    assert presence.shape == (3,)

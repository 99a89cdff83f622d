"""A run that was killed goes on to the very same weights; what it leaves can be scored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("keras")

from train.data.images import read_pictures
from train.evaluation.predictions import logits, open_scorer
from train.experiments.checkpoint import load_checkpoint
from train.experiments.export import write_averaged
from train.networks.config import ResidualNet
from train.networks.residual import build_residual, multiply_adds
from train.recipe import Phase, Recipe
from train.training.trainer import fit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TOY = Recipe(
    seed=4,
    batch_size=16,
    phases=(
        Phase(epochs=1, side_px=32, rate=0.02),
        Phase(epochs=2, side_px=40, rate=0.02, end_rate=0.0),
    ),
    network=ResidualNet(stem=4, widths=(4,), blocks=(1,), squeeze=4, dropout=0.2),
)


def quiet(record: dict[str, Any], best: bool, path: Path) -> None:
    assert record["loss"] > 0
    assert path.exists()
    assert best in {True, False}


def test_resumed_is_bit_identical_to_unbroken(made_up: Path, tmp_path: Path) -> None:
    """Weights, optimiser, average, dropout state and history all go on where they were."""
    train = read_pictures(made_up, tmp_path / "cache", "Training")
    validation = read_pictures(made_up, tmp_path / "cache", "PublicTest")
    whole = fit(TOY, train, validation, tmp_path / "whole", told=quiet)
    short = replace(TOY, phases=TOY.phases[:1])
    fit(short, train, validation, tmp_path / "short", told=quiet)
    start = load_checkpoint(tmp_path / "short" / "checkpoints" / "epoch-001.npz")
    resumed = fit(TOY, train, validation, tmp_path / "resumed", start=start, told=quiet)
    for group in ("variables", "optimiser", "average"):
        for one, two in zip(getattr(whole, group), getattr(resumed, group), strict=True):
            np.testing.assert_array_equal(one, two)
    for one, two in zip(whole.history, resumed.history, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
    assert whole.epoch == resumed.epoch == 3

    write_averaged(TOY, whole, tmp_path / "net.keras")
    found = logits(open_scorer(tmp_path / "net.keras"), validation.crops, mirrored=True)
    turned = logits(
        open_scorer(tmp_path / "net.keras"), validation.crops[:, :, ::-1], mirrored=True
    )
    assert found["ferplus"].shape == (16, 8)
    assert found["fer2013"].shape == (16, 7)
    np.testing.assert_allclose(found["ferplus"], turned["ferplus"], atol=1e-5)


def test_the_shipped_net_keeps_to_its_budget() -> None:
    """At most 20 million multiply-adds, counted layer by layer."""
    small = ResidualNet(stem=4, widths=(4,), blocks=(1,), squeeze=0)
    stem, block, heads = 24 * 24 * 25 * 4, 2 * 24 * 24 * 9 * 4 * 4, 4 * 15
    assert multiply_adds(build_residual(small)) == stem + block + heads
    shipped = ResidualNet(stem=16, widths=(16, 48, 80, 160), blocks=(1, 1, 2, 1), squeeze=8)
    assert multiply_adds(build_residual(shipped)) <= 20_000_000

"""The recurrent net's run goes on where it was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

from edge.features.blendshapes import channel_names, levels
from train.experiments.checkpoint import load_checkpoint
from train.experiments.recurrent import fit_recurrent, recurrent_scores
from train.features.channel_transform import fitted, open_form
from train.features.motion import read_motion
from train.features.synthetic_sequences import Director, Script, Stills
from train.recipe import RecurrentRecipe

MEASURED = Path(__file__).parents[2] / "train" / "features" / "motion.json"
TOY = RecurrentRecipe(
    seed=6, epochs=2, batches=2, batch_size=4, units=4, script=Script(steps=6, candidates=40)
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def stills() -> Stills:
    rng = np.random.default_rng(8)
    shapes = rng.uniform(0, 0.6, (80, 52)).astype(np.float32)
    pose = rng.normal(0, 8, (80, 3)).astype(np.float32)
    votes = np.eye(8, dtype=np.float32)[np.arange(80) % 8]
    return Stills(
        rows=np.arange(80),
        levels=levels(shapes, pose, open_form()),
        votes=votes,
        majority=votes.argmax(axis=1).astype(np.int8),
    )


def test_resumed_is_bit_identical_to_unbroken(tmp_path: Path) -> None:
    """Weights, optimiser with its schedule, noise and dropout state all go on."""
    material = stills()
    form = fitted(open_form(), material.levels, material.resting)
    director = Director(material, script=TOY.script, form=form, motion=read_motion(MEASURED))
    shown = director.draw(4, np.random.default_rng(1))
    seconds: list[float] = []

    def run(epochs: int, name: str, resume: str | None = None) -> list[dict[str, float]]:
        path = None if resume is None else tmp_path / resume / "checkpoints" / "epoch-001.npz"
        _, history = fit_recurrent(
            replace(TOY, epochs=epochs),
            director,
            lambda net: recurrent_scores(net, material, form, shown),
            width=len(channel_names(form)),
            folder=tmp_path / name,
            start=None if path is None else load_checkpoint(path),
            told=lambda *_: None,
            expected=seconds.append,
        )
        return history

    whole, resumed = run(2, "whole"), run(2, "again", resume="whole")
    for one, two in zip(whole, resumed, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
    ends = [load_checkpoint(tmp_path / n / "checkpoints/epoch-002.npz") for n in ("whole", "again")]
    for group in ("variables", "optimiser"):
        for one, two in zip(*(getattr(end, group) for end in ends), strict=True):
            np.testing.assert_array_equal(one, two)
    assert min(seconds) > 0

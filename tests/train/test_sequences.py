"""Sequences made of single pictures obey their script."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydantic")

from edge.features.blendshapes import LIMIT, NAMES, channel_names, levels
from train.features.channel_transform import blink, fitted, unfitted_transform
from train.features.motion import Motion, measure_motion, read_motion, write_motion
from train.features.synthetic_sequences import Director, Script, Sequences, Stills

MEASURED = Path(__file__).parents[2] / "train" / "features" / "motion.json"


def stills(n: int = 300) -> Stills:
    rng = np.random.default_rng(8)
    shapes = rng.uniform(0, 0.6, (n, 52)).astype(np.float32)
    pose = rng.normal(0, 8, (n, 3)).astype(np.float32)
    votes = np.eye(8, dtype=np.float32)[rng.choice(8, n, p=[0.1] * 6 + [0.3, 0.1])]
    return Stills(
        rows=np.arange(n),
        levels=levels(shapes, pose, unfitted_transform()),
        votes=votes,
        majority=votes.argmax(axis=1).astype(np.int8),
    )


def directed(script: Script, *, still: bool = False) -> Director:
    material = stills()
    transform = fitted(unfitted_transform(), material.levels, material.resting)
    motion = read_motion(MEASURED)
    if still:
        motion = replace(motion, covariance=np.zeros_like(motion.covariance))
    return Director(material, script=script, transform=transform, motion=motion)


def drawn(script: Script, *, seed: int = 0, still: bool = False) -> Sequences:
    return directed(script, still=still).draw(16, np.random.default_rng(seed))


def test_the_measured_motion_fits_the_channels() -> None:
    """The committed measurement belongs to the channels in use."""
    width = len(channel_names(unfitted_transform()))
    motion = read_motion(MEASURED)
    assert motion.covariance.shape == (width, width)
    assert motion.keep.shape == (width,)


def test_targets_are_distributions_and_channels_stay_in_range() -> None:
    """Every step has votes that sum to one, and nothing saturates int8 unseen."""
    found = drawn(Script())
    assert found.channels.shape == (16, 48, 36)
    np.testing.assert_allclose(found.targets.sum(axis=-1), 1.0, atol=1e-5)
    assert np.abs(found.channels).max() <= LIMIT


def test_same_seed_same_sequences() -> None:
    """A run can be repeated."""
    np.testing.assert_array_equal(drawn(Script()).channels, drawn(Script()).channels)
    assert (drawn(Script()).channels != drawn(Script(), seed=1).channels).any()


def test_an_apex_is_held_and_a_change_takes_its_time() -> None:
    """Without motion the face is still at the apex, and moves between for the time given."""
    script = Script(
        steps=200,
        hold_s=(1.0, 1.0),
        move_s=(0.4, 0.4),
        back_to_neutral=0.0,
        talking=0.0,
        blink_s=1e9,
        known=0.0,
    )
    found = drawn(script, still=True)
    moving = np.abs(np.diff(found.channels, axis=1)).max(axis=-1) > 1e-6
    spans = [
        len(span) for row in moving for span in "".join("x" if m else " " for m in row).split()
    ]
    assert spans
    assert max(spans) <= 0.4 / script.step_s + 1
    at_rest = ~moving[:, 1:] & ~moving[:, :-1]
    assert at_rest.mean() > 0.5


def test_motion_drawn_has_the_measured_spread_and_memory() -> None:
    """Covariance and step-to-step correlation come back."""
    motion = Motion(
        covariance=np.array([[1.0, 0.5], [0.5, 2.0]]), keep=np.array([0.9, 0.9]), step_s=0.1
    )
    found = motion.draw(2000, 30, np.random.default_rng(1))
    flat = found.reshape(-1, 2)
    np.testing.assert_allclose(flat.T @ flat / len(flat), motion.covariance, rtol=0.1)
    again = (found[:, 1:, 0] * found[:, :-1, 0]).mean() / (found[:, :, 0] ** 2).mean()
    assert again == pytest.approx(0.9, abs=0.03)


def test_motion_is_measured_whatever_the_frame_rate(tmp_path: Path) -> None:
    """A slow wave has the same spread and memory at 25 and at 50 frames a second."""

    def wave(rate: float) -> tuple[np.ndarray, float]:
        times = np.arange(0, 60, 1 / rate)
        return np.sin(2 * np.pi * 0.5 * times)[:, None].astype(np.float32), rate

    slow, fast = measure_motion([wave(25.0)], 0.1), measure_motion([wave(50.0)], 0.1)
    np.testing.assert_allclose(slow.covariance, fast.covariance, rtol=0.02)
    np.testing.assert_allclose(slow.keep, fast.keep, atol=0.01)
    write_motion(tmp_path / "m.json", slow, source="a wave", channels=["one"])
    np.testing.assert_allclose(read_motion(tmp_path / "m.json").keep, slow.keep, atol=1e-4)


def test_a_blink_moves_the_lids_alone() -> None:
    """Both sides alike, so only their mean changes."""
    names = channel_names(unfitted_transform())
    moved = {
        name for name, change in zip(names, blink(unfitted_transform()), strict=True) if change
    }
    assert moved == {"eyeBlinkMean"}
    assert "eyeBlinkLeft" in NAMES

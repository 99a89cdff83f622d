"""Distillation: what a teacher's word does to the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoshift.errors import InputError

pytest.importorskip("keras", reason="needs the training environment: make test-train")

from train.training.distillation import blend, read_teacher

if TYPE_CHECKING:
    from pathlib import Path

VOTES = np.array([[0.75, 0.25], [0.0, 0.0]], np.float32)
TAUGHT = np.array([[0.5, 0.5], [0.1, 0.9]], np.float32)


def test_no_share_leaves_the_votes_alone() -> None:
    """A teacher with share 0 changes neither targets nor weights."""
    targets, weights = blend(VOTES, np.array([0.8, 0.0], np.float32), TAUGHT, 0.0)
    np.testing.assert_allclose(targets, VOTES)
    np.testing.assert_allclose(weights, [0.8, 0.0])


def test_a_row_without_votes_is_the_teachers() -> None:
    """Where no annotator saw an emotion, the teacher alone speaks, with its share as weight."""
    targets, weights = blend(VOTES, np.array([1.0, 0.0], np.float32), TAUGHT, 0.4)
    np.testing.assert_allclose(targets[1], TAUGHT[1], rtol=1e-6)
    np.testing.assert_allclose(weights, [1.0, 0.4], rtol=1e-6)
    np.testing.assert_allclose(targets[0], [0.65, 0.35], rtol=1e-6)


@given(share=st.floats(0.01, 1.0), trust=st.floats(0.0, 1.0))
def test_targets_stay_distributions(share: float, trust: float) -> None:
    """Whatever the share and the trust, every target sums to 1 and no weight exceeds 1."""
    votes = np.array([[0.2, 0.8]], np.float32) if trust > 0 else np.zeros((1, 2), np.float32)
    targets, weights = blend(votes, np.array([trust], np.float32), TAUGHT[:1], share)
    assert targets.sum() == pytest.approx(1.0, abs=1e-5)
    assert 0 < weights[0] <= 1 + 1e-6


def test_a_teacher_of_other_rows_is_refused(tmp_path: Path) -> None:
    """A teacher's file made from another data set says so instead of teaching nonsense."""
    path = tmp_path / "teacher.npz"
    np.savez(path, rows=np.arange(2), ferplus=np.zeros((2, 8)), fer2013=np.zeros((2, 7)))
    with pytest.raises(InputError, match="is about 2 rows, expected 3"):
        read_teacher(path, np.arange(3))
    with pytest.raises(InputError, match="not what `train teach` writes"):
        read_teacher(tmp_path / "none.npz", np.arange(3))

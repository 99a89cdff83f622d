"""A bundle is scored as one network, with what its manifest says of views and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import log_softmax

from edge.bundle.loader import default_bundle_path, load_bundle
from edge.classifier.ensemble import Ensemble
from edge.standardise import standardise_crop
from edge.values import EvidenceSource, Features
from emoshift.errors import InputError
from train.data.images import as_input
from train.saved_net import open_scorer

if TYPE_CHECKING:
    from pathlib import Path


def test_both_heads_answer_as_on_the_device() -> None:
    """The trainer's figures of a bundle are about what the device says of the same crops."""
    crops = np.random.default_rng(3).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    scorer = open_scorer(default_bundle_path())
    logits = scorer(as_input(standardise_crop(crops)))
    faces = [
        Features(track=n, label=str(n), captured_s=0.0, crop=crop, blendshapes=None, pose=None)
        for n, crop in enumerate(crops)
    ]
    predictions = Ensemble(load_bundle(default_bundle_path())).classify(faces)
    for head, source in (
        ("ferplus", EvidenceSource.FERPLUS),
        ("fer2013", EvidenceSource.FER2013),
    ):
        device = np.stack([p.log_probs[source] for p in predictions if p.log_probs is not None])
        found = log_softmax(logits[head][:, :7], axis=1)
        np.testing.assert_allclose(found.argmax(axis=1), device.argmax(axis=1))
    assert logits["ferplus"].shape == (5, 8)
    assert logits["fer2013"].shape == (5, 7)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """One line says what was expected."""
    with pytest.raises(InputError, match="expected"):
        open_scorer(tmp_path)

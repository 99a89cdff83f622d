"""Whether a bundle works on this device: run before it is put to use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.assets import LANDMARKER, SAMPLE_CLIP, find_asset
from edge.capture.clip import Clip
from edge.classifier.ensemble import Ensemble
from edge.config import Config
from edge.pipeline import REPLAY_SEED, open_pipeline
from edge.values import Features, frozen
from emoshift.emotions import Emotion
from emoshift.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.bundle.loader import Bundle
    from edge.values import Prediction

LEAST_FACES: Final = 0.5
"""The sample clip shows one face all the time; it must be seen in at least this share of frames."""


def check_bundle(bundle: Bundle) -> None:
    """Run a bundle on drawn crops and, where it was fetched, on the sample clip.

    Raises:
        BundleError: It does not run, answers with what is no probability, or always says the same.
    """
    name = bundle.manifest.bundle_id
    predictions = Ensemble(bundle).classify(_crops())
    _demand_probabilities(name, predictions)
    if np.ptp(np.stack([p.probs for p in predictions]), axis=0).max() < 1e-3:
        raise BundleError(f"{name}: says the same of every picture; not installed")
    clip = find_asset(SAMPLE_CLIP)
    if clip is None or find_asset(LANDMARKER) is None:
        return
    frames = seen = 0
    with open_pipeline(Config(), bundle, random_seed=REPLAY_SEED) as pipeline:
        for frame in Clip(clip).frames():
            step = pipeline.step(frame)
            frames += 1
            seen += bool(step.faces)
            _demand_probabilities(name, step.predictions)
    if seen < LEAST_FACES * frames:
        raise BundleError(f"{name}: a face in {seen} of {frames} frames of the sample clip only")


def _crops(count: int = 16) -> list[Features]:
    """Smooth random patterns, the same every time."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 6, 6)).astype(np.uint8)
    crops = np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)
    return [
        Features(
            track=number,
            label="check",
            captured_s=0.0,
            crop=frozen(crop.copy()),
            blendshapes=frozen(rng.random(52, np.float32)),
            pose=frozen(np.zeros(3, np.float32)),
        )
        for number, crop in enumerate(crops)
    ]


def _demand_probabilities(name: str, predictions: Sequence[Prediction]) -> None:
    for prediction in predictions:
        probs = prediction.probs
        if probs.shape != (len(Emotion),) or not np.isfinite(probs).all():
            raise BundleError(f"{name}: answers with what is no probability; not installed")
        if probs.min() < 0 or abs(float(probs.sum()) - 1) > 1e-3:
            raise BundleError(f"{name}: its probabilities do not sum to one; not installed")

"""Logits of a classifier over net inputs, as the workbench's other nets give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from train.huggingface.classifier import open_classifier

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from train.evaluation.predictions import Scorer
    from train.huggingface.classifier import Classifier

BATCH: int = 64


def open_classifier_scorer(name: str | Path) -> Scorer:
    """Open a folder or hub name; raises `InputError` as `open_classifier` does."""
    return scorer_of(open_classifier(name))


def scorer_of(classifier: Classifier) -> Scorer:
    """Return a scorer for an open classifier."""
    return lambda inputs: _logits(classifier, inputs)


def _logits(classifier: Classifier, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    classifier.net.eval()
    with torch.inference_mode():
        parts = [
            classifier.logits(inputs[start : start + BATCH])
            for start in range(0, len(inputs), BATCH)
        ]
    return {
        head: np.concatenate([part[head].float().cpu().numpy() for part in parts])
        for head in classifier.heads
    }

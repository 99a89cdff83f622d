"""Score a saved recurrent net on single pictures of a held-out split."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keras
import numpy as np

from edge.bundle.manifest import ChannelTransform
from train.data.images import read_pictures
from train.experiments.calibration import calibration_error, fit_temperature
from train.experiments.recurrent import still_logits
from train.experiments.score import accuracy, vote_loss
from train.features.faces import measured_table
from train.features.single_images import read_stills

if TYPE_CHECKING:
    from pathlib import Path


def evaluate_recurrent(
    net: Path, *, split: str, data: Path, cache: Path, logits_path: Path | None = None
) -> list[str]:
    """Return one line for each figure; the form lies beside the net as ``.json``.

    Each picture is shown for twelve steps to a net that does not know the person.
    """
    told = json.loads(net.with_suffix(".json").read_text(encoding="utf-8"))
    form = ChannelTransform.model_validate(told["channels"])
    pictures = read_pictures(data, cache, split)
    stills = read_stills(measured_table(cache), pictures, form)
    found = still_logits(keras.saving.load_model(net, compile=False), stills, form)
    if logits_path is not None:
        logits_path.parent.mkdir(parents=True, exist_ok=True)
        with logits_path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, rows=stills.rows, ferplus=found)
    right, n = accuracy(found, stills.majority)
    asked = np.ones(len(found), np.float32)
    temperature = fit_temperature(found, stills.votes, asked)
    lines = [
        f"{net.name} on {split}, single pictures shown for 12 steps, resting face unknown",
        f"FER+8 accuracy {right:.2%} (n = {n}, majority rule, face found by MediaPipe)",
    ]
    for name, t in (("as they are", 1.0), (f"temperature {temperature:.3f}", temperature)):
        error = calibration_error(found / t, stills.votes)
        loss = vote_loss(found / t, stills.votes, asked)
        lines.append(f"ECE against votes {error:.4f}, vote loss {loss:.4f}, {name}")
    return lines

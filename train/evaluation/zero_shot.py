"""Figures on CK+48 for image networks that have never been trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import log_softmax

from emoshift.emotions import Emotion
from train.data.image_folder import read_cached_folder
from train.data.images import read_images
from train.evaluation.metrics import accuracy, labelled, without_contempt, without_prior
from train.evaluation.predictions import image_logits
from train.saved_net import open_scorer, views_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CKPLUS48: Final = "CK+48"


def evaluate_ckplus48(
    net: Path, *, mirrored: bool, taus: Sequence[float], data: Path, cache: Path
) -> list[str]:
    """Return one line a head and tau: accuracy and recalls over the peaks of six emotions.

    Of a network with two heads the geometric mean of both is asked too.

    All seven outputs compete, neutral included, although no peak is neutral; images of contempt
    are left out. With tau above 0 the probabilities are divided by the class shares of FER2013
    Training to that power.

    Raises:
        InputError: Network or images are missing.
    """
    tree = read_cached_folder(data / "ckplus48", cache)
    logits = image_logits(open_scorer(net), tree.crops, mirrored=mirrored)
    labels = without_contempt(tree.labels)
    powers = (0.0, *(tau for tau in taus if tau > 0))
    # Only a power above 0 asks for the class shares, and with them for FER2013.
    shares = read_images(data, cache, "Training").class_shares() if len(powers) > 1 else {}
    views = views_of(net, mirrored=mirrored)
    lines = [f"{net.name} on {CKPLUS48}, never trained on, {views}, seven outputs"]
    for tau in powers:
        heads = {
            f"{head} head": log_softmax(
                (without_prior(values, shares[head], tau) if tau else values)[:, : len(Emotion)],
                axis=1,
            )
            for head, values in logits.items()
        }
        if len(heads) > 1:
            heads["both heads"] = np.mean(list(heads.values()), axis=0)
        for head, seven in heads.items():
            guess = seven.argmax(axis=1)
            recalls = ", ".join(
                f"{Emotion(int(one)).label} {(guess[labels == one] == one).mean():.2f}"
                for one in np.unique(labels[labels >= 0])
            )
            lines.append(
                f"{head}, tau {tau:g}: accuracy {accuracy(seven, labels):.2%}"
                f" (n = {labelled(labels)}); recall {recalls}"
            )
    return lines

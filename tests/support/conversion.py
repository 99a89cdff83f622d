"""A small data set in the official form, and members of handmade networks."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from convert.member import ConvertedMember
from edge.bundle.loader import load_bundle
from tests.support.handmade_bundle import cnn_member, lstm_member, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
EMOTION = {"anger": 0, "disgust": 1, "fear": 2, "happiness": 3, "sadness": 4, "surprise": 5}


def write_fer(
    folder: Path, *, training: int = 160, others: int = 80, shown: tuple[str, ...] = VOTES
) -> Path:
    """Write ``fer2013.csv`` and ``fer2013new.csv`` with images a small network can tell apart.

    Each image is noise with one brighter band whose height stands for the emotion.
    """
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    splits = ["Training"] * training + ["PublicTest"] * others + ["PrivateTest"] * others
    with (
        (folder / "fer2013.csv").open("w", newline="") as a,
        (folder / "fer2013new.csv").open("w", newline="") as b,
    ):
        pixels, votes = csv.writer(a), csv.writer(b)
        pixels.writerow(["emotion", "pixels", "Usage"])
        votes.writerow(["Usage", "Image name", *VOTES, "unknown", "NF"])
        for row, split in enumerate(splits):
            name = shown[row % len(shown)]
            grey = rng.integers(60, 140, (48, 48))
            place = VOTES.index(name) * 6
            grey[place : place + 6] += 100
            text = " ".join(str(v) for v in grey.ravel())
            pixels.writerow([EMOTION.get(name, 6), text, split])
            counts = [10 if other == name else 0 for other in VOTES]
            votes.writerow([split, f"fer{row:07}.png", *counts, 0, 0])
    return folder


def members(folder: Path, *, worse: bool = False) -> list[ConvertedMember]:
    """Return the handmade networks as members; with ``worse`` the reference reads other labels."""
    bundle = load_bundle(write_bundle(folder, cnn_member(), lstm_member()))
    out = []
    for member in bundle.manifest.members:
        labels = member.labels[::-1] if worse else member.labels
        out.append(
            ConvertedMember(
                member=member,
                content=bundle.contents[member.name],
                reference_member=member.model_copy(update={"labels": labels}),
                reference=bundle.contents[member.name],
                software="by hand",
            )
        )
    return out


def halves(n: int) -> NDArray[np.uint8]:
    """Return standardised crops, alternately bright on the left and on the right."""
    crops = np.full((n, 48, 48), 80, np.uint8)
    crops[::2, :, :24] = 176
    crops[1::2, :, 24:] = 176
    return crops

"""Fixtures of the workbench's tests: small made-up data, and the shared set where it lies."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

# One thread sums in one order: only then can two runs agree to the last bit. The libraries read
# this when they are first used, which is after this file.
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
VOTE_COLUMNS = (
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear"),
    *("contempt", "unknown", "NF"),
)


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A data folder with a FER2013 of noise: 64 Training, 16 PublicTest, 16 PrivateTest rows."""
    rng = np.random.default_rng(5)
    folder = tmp_path / "data" / "fer2013"
    folder.mkdir(parents=True)
    usage = ["Training"] * 64 + ["PublicTest"] * 16 + ["PrivateTest"] * 16
    with (folder / "fer2013.csv").open("w", newline="", encoding="ascii") as stream:
        writer = csv.writer(stream)
        writer.writerow(["emotion", "pixels", "Usage"])
        for row, split in enumerate(usage):
            pixels = " ".join(str(v) for v in rng.integers(0, 256, 48 * 48))
            writer.writerow([row % 7, pixels, split])
    with (folder / "fer2013new.csv").open("w", newline="", encoding="ascii") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Usage", "Image name", *VOTE_COLUMNS])
        for row, split in enumerate(usage):
            votes = np.bincount(rng.integers(0, 8, 10) * (row % 3 > 0), minlength=10)
            writer.writerow([split, f"fer{row:07d}.png", *votes])
    return tmp_path / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared data set; the test skips where it is absent."""
    folder = Path(os.environ.get("EMOSHIFT_DATA", "../shared/data"))
    if not (folder / "fer2013" / "fer2013new.csv").exists():
        pytest.skip("needs FER2013: set EMOSHIFT_DATA to its folder")
    return folder

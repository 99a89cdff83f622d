"""FER2013's last split, read where it lies; nothing of it is copied or kept."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.values import Emotion
from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PICTURES: Final = "fer2013/fer2013.csv.zip"
SPLIT: Final = "PrivateTest"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Pictures with what they show.

    Attributes:
        images: Shape ``(n, 48, 48)``, uint8.
        labels: FER2013's own label of each.
    """

    images: NDArray[np.uint8]
    labels: tuple[str, ...]

    def thinned(self, most: int) -> Pictures:
        """Keep up to ``most``, evenly spread over the split."""
        if most >= len(self.labels):
            return self
        kept = np.linspace(0, len(self.labels) - 1, most).round().astype(np.intp)
        return Pictures(
            images=self.images[kept], labels=tuple(self.labels[index] for index in kept)
        )


def read_pictures(path: Path, split: str = SPLIT) -> Pictures:
    """Read one split.

    Raises:
        InputError: The file is not FER2013 in its official form.
    """
    images, labels = [], []
    try:
        with zipfile.ZipFile(path) as archive, archive.open("fer2013.csv") as file:
            for row in csv.DictReader(io.TextIOWrapper(file, encoding="ascii")):
                if row["Usage"] == split:
                    images.append(np.array(row["pixels"].split(), np.uint8).reshape(48, 48))
                    labels.append(Emotion(int(row["emotion"])).label)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as why:
        raise InputError(f"{path}: not FER2013 in its official form: {why}") from why
    if not images:
        raise InputError(f"{path}: holds no row of {split}")
    return Pictures(images=np.stack(images), labels=tuple(labels))

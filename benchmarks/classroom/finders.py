"""Opening a back end with the models that were fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.assets import LANDMARKER, YUNET, find_asset
from edge.faces.select_backend import open_faces
from emoshift.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config import Faces
    from edge.faces.backend import FaceFinder
    from emoshift.downloads import Download


def landmark_model() -> Path:
    """Where the Face Landmarker's bundle lies.

    Raises:
        InputError: It has not been fetched.
    """
    found = find_asset(LANDMARKER)
    if found is None:
        raise InputError(f"{LANDMARKER.name} is missing; run: edge assets fetch")
    return found


def open_finder(config: Faces, *, threads: int = 1, detector: Download = YUNET) -> FaceFinder:
    """Open a back end in line, so that a run repeats itself."""
    return open_faces(
        config,
        landmarker=landmark_model(),
        detector=find_asset(detector),
        random_seed=0,
        threads=threads,
        background=False,
    )

"""Choosing a back end: what is configured, what is installed, what this processor can run."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from typing import TYPE_CHECKING

from edge.errors import UnavailableError
from edge.faces.mediapipe import MediaPipeFaces
from edge.faces.processor import mediapipe_obstacle, read_cpuinfo

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config import Faces
    from edge.faces.protocol import FaceFinder


def open_faces(
    config: Faces,
    *,
    landmarker: Path,
    detector: Path | None,
    random_seed: int | None = None,
    threads: int = 1,
) -> FaceFinder:
    """Open the back end that ``config.backend`` names.

    ``mediapipe`` is taken as it is, or refused with the reason. ``auto`` takes MediaPipe where it
    is installed and this processor can run it.

    Args:
        config: How faces are found.
        landmarker: MediaPipe's ``face_landmarker.task``.
        detector: YuNet, for classroom distances; ``None`` where it could not be fetched.
        random_seed: Makes the tracks' random names repeatable; ``None`` for live sources.
        threads: Threads the landmark models may use.

    Raises:
        InputError: A model file is missing or damaged.
        UnavailableError: The back end cannot run here.
    """
    del threads, detector
    obstacle = mediapipe_missing()
    if config.backend == "mediapipe":
        if obstacle is not None:
            raise UnavailableError(f'{obstacle}; set faces.backend = "direct"')
        reason = "configured"
    elif config.backend == "direct":
        raise UnavailableError("faces.backend: direct is not built yet; set mediapipe")
    else:
        if obstacle is not None:
            raise UnavailableError(obstacle)
        reason = "installed, and this processor can run it"
    return MediaPipeFaces(config, model=landmarker, random_seed=random_seed, reason=reason)


def mediapipe_missing() -> str | None:
    """Say why MediaPipe cannot be used here; ``None`` when it can be tried."""
    if importlib.util.find_spec("mediapipe") is None:
        return "MediaPipe is not installed"
    return mediapipe_obstacle(read_cpuinfo(), metadata.version("mediapipe"))

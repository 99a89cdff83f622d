"""Choosing a back end: what is configured, what is installed, what this processor can run."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2

from edge.faces.blazeface import FullRangeBlazeFace, ShortRangeBlazeFace
from edge.faces.detector_runner import AsyncRunner, SyncRunner
from edge.faces.direct import DirectFaces
from edge.faces.landmarker import Landmarker
from edge.faces.mediapipe import MediaPipeFaces
from edge.faces.small_face import SmallFaceNetwork
from edge.faces.yunet import YuNet
from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from edge.config import Faces
    from edge.faces.backend import FaceFinder
    from edge.faces.detector import Detector

_FEATURES: Final = re.compile(r"^Features\s*:\s*(.*)$", re.MULTILINE)


def open_faces(
    config: Faces,
    *,
    landmarker: Path,
    detector: Path | None,
    random_seed: int | None = None,
    threads: int = 1,
    background: bool | None = None,
) -> FaceFinder:
    """Open the back end that ``config.backend`` names.

    ``auto`` takes ``direct``, which runs on every board. Without a classroom detector's file,
    ``direct`` finds faces with the Face Landmarker's own near-range detector and says so.
    ``mediapipe`` is taken as it is, or refused with the reason.

    Args:
        config: How faces are found.
        landmarker: MediaPipe's ``face_landmarker.task``.
        detector: YuNet (``.onnx``) or full-range BlazeFace (``.tflite``), for classroom distances;
            ``None`` where neither could be fetched.
        random_seed: Makes the tracks' random names repeatable; ``None`` for live sources.
        threads: Threads each landmark model, and OpenCV in this process, may use.
        background: Whether the detector has a thread of its own, so that results depend on
            timing; unset, only where no seed asks for repeatable results.

    Raises:
        InputError: A model file is missing or damaged.
        UnavailableError: The back end cannot run here.
    """
    if config.backend == "mediapipe":
        obstacle = mediapipe_missing()
        if obstacle is not None:
            raise UnavailableError(f'{obstacle}; set faces.backend = "direct"')
        return MediaPipeFaces(
            config, model=landmarker, random_seed=random_seed, reason="configured"
        )
    cv2.setNumThreads(threads)
    reason = "configured" if config.backend == "direct" else "runs on every board"
    searched_by: Detector
    if detector is None:
        searched_by = ShortRangeBlazeFace(landmarker, threads=threads)
        reason += "; near range only: the classroom detectors are missing (edge assets fetch)"
    elif detector.suffix == ".tflite":
        searched_by = FullRangeBlazeFace(detector, threads=threads)
        reason += "; YuNet, which sees smaller faces at less cost, is missing (edge assets fetch)"
    else:
        searched_by = YuNet(detector)
    if background is None:
        background = random_seed is None
    small_face = SmallFaceNetwork(threads=threads)
    reference = Landmarker(landmarker, threads=threads)
    return DirectFaces(
        config,
        detector=searched_by,
        # After the networks: it starts a thread, which an error of theirs would leave behind.
        runner=AsyncRunner(searched_by) if background else SyncRunner(searched_by),
        small_face=small_face,
        landmarker=reference,
        random_seed=random_seed,
        reason=reason,
    )


def mediapipe_missing() -> str | None:
    """Say why MediaPipe cannot be used here; ``None`` when it can be tried."""
    if importlib.util.find_spec("mediapipe") is None:
        return "MediaPipe is not installed"
    return mediapipe_obstacle(read_cpuinfo(), metadata.version("mediapipe"))


def lacks_atomics(cpuinfo: str) -> bool:
    """Whether this is an ARMv8.0 processor: 64-bit ARM without the ``atomics`` (LSE).

    MediaPipe 1.0 and later abort on it (Raspberry Pi 4 and older, Zero 2 W, Jetson Nano).

    Args:
        cpuinfo: Text of ``/proc/cpuinfo``; that of other architectures has no ``Features`` line.
    """
    found = _FEATURES.findall(cpuinfo)
    return bool(found) and not all("atomics" in features.split() for features in found)


def mediapipe_obstacle(cpuinfo: str, version: str) -> str | None:
    """Say why a MediaPipe release cannot run on this processor; ``None`` when it can.

    Args:
        cpuinfo: Text of ``/proc/cpuinfo``.
        version: Installed release, such as ``1.2.2``.
    """
    if lacks_atomics(cpuinfo) and int(version.split(".", 1)[0]) >= 1:
        return (
            f"MediaPipe {version} needs ARMv8.1 atomics, which this processor lacks"
            " (Raspberry Pi 4 and older, Jetson Nano)"
        )
    return None


def read_cpuinfo() -> str:
    """Text of ``/proc/cpuinfo``, empty where there is none."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

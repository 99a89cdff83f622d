"""Faces by MediaPipe's Face Landmarker task: the near-range reference; the only module naming it.

The Tasks API is the same in 0.10.18 and 1.2. The library is imported when a finder is opened, so
that the package works without it.
"""

from __future__ import annotations

import contextlib
import os
import time
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from edge.faces.backend import ComputeBudget, FacesReport
from edge.faces.mesh import BLENDSHAPES, mesh_box, mesh_keypoints
from edge.faces.tracker import Detection, Tracker, label_source
from edge.native_stderr import quiet_native
from edge.values import Face, Landmarks, frozen
from emoshift.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from edge.config import Faces
    from edge.values import Frame

SYSTEM_LIBRARIES: Final = {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2"}
"""What the library links that a server or Lite image lacks, with the Debian package of each."""


class MediaPipeFaces:
    """MediaPipe's detector, landmarks and blendshapes, with the project's own tracker.

    Args:
        config: How faces are found.
        model: Path of ``face_landmarker.task``.
        random_seed: Makes the tracks' random names repeatable; ``None`` for live sources.
        reason: Why this back end was taken.

    Raises:
        InputError: The model is missing or not one the library can load.
        UnavailableError: The library, or a system library that it links, is not installed.
    """

    def __init__(
        self, config: Faces, *, model: Path, random_seed: int | None = None, reason: str = ""
    ) -> None:
        if not model.is_file():
            raise InputError(f"{model}: no such file; fetch it with: edge assets fetch")
        self._library, tasks, vision = _load()
        self._config = config
        self._reason = reason
        self._tracker = Tracker(
            labels=label_source(random_seed),
            forget_after_s=config.forget_after_s,
            max_faces=config.max_faces,
            ignore_still_after_s=config.ignore_still_after_s,
            tolerated=0,
        )
        self._forgotten: tuple[int, ...] = ()
        self._report = FacesReport()
        self._time_ms = -1
        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=config.max_faces,
            output_face_blendshapes=True,
        )
        try:
            with quiet_native():
                self._landmarker: Any = vision.FaceLandmarker.create_from_options(options)
        except OSError as why:  # the native library is only now loaded, from 1.0 on
            raise UnavailableError(_missing(why)) from why
        except (RuntimeError, ValueError) as why:
            raise InputError(f"{model}: not a model MediaPipe can load: {why}") from why
        self._warm = False

    @property
    def name(self) -> str:
        """Back end and version."""
        return f"mediapipe {metadata.version('mediapipe')}"

    @property
    def reason(self) -> str:
        """Why this back end was taken."""
        return self._reason

    @property
    def report(self) -> FacesReport:
        """Cost and freshness of the last call."""
        return self._report

    @property
    def forgotten(self) -> tuple[int, ...]:
        """Tracks that ended with the last call."""
        return self._forgotten

    def set_budget(self, budget: ComputeBudget) -> None:
        """Nothing to set: every face is measured in every frame."""

    def find(self, frame: Frame) -> tuple[Face, ...]:
        """Return the faces in ``frame``, ordered by track."""
        began = time.perf_counter()
        now_s = frame.captured_s
        measured = self._measure(frame)
        landmarked = time.perf_counter()
        tracks = self._tracker.associate([detection for detection, _ in measured], now_s)
        for track, (_, landmarks) in zip(tracks, measured, strict=True):
            if track is not None:
                self._tracker.express(track, landmarks.blendshapes, now_s)
        self._forgotten = self._tracker.advance(now_s)
        by_track = {
            track.number: (detection, landmarks)
            for track, (detection, landmarks) in zip(tracks, measured, strict=True)
            if track is not None
        }
        faces = tuple(
            Face(
                track=track.number,
                label=track.label,
                box=by_track[track.number][0].box,
                keypoints=by_track[track.number][0].keypoints,
                score=track.score,
                landmarks=by_track[track.number][1],
            )
            for track in self._tracker.visible(now_s)
            if track.number in by_track
        )
        self._report = FacesReport(
            stages_s={
                "landmarks": landmarked - began,
                "track": time.perf_counter() - landmarked,
            },
            faces=len(faces),
            measured=len(faces),
            tried=len(faces),
        )
        return faces

    def _measure(self, frame: Frame) -> list[tuple[Detection, Landmarks]]:
        """Run the task once; faces below the smallest width are left out."""
        rgb = cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)
        image = self._library.Image(image_format=self._library.ImageFormat.SRGB, data=rgb)
        # The task wants whole milliseconds that rise with every call.
        self._time_ms = max(round(frame.captured_s * 1000), self._time_ms + 1)
        with contextlib.nullcontext() if self._warm else quiet_native():
            result = self._landmarker.detect_for_video(image, self._time_ms)
        self._warm = True
        scale = (frame.width_px, frame.height_px, frame.width_px)
        found = []
        for mesh, shapes in zip(result.face_landmarks, result.face_blendshapes, strict=True):
            points = np.array([(p.x, p.y, p.z) for p in mesh], dtype=np.float32)
            points *= np.array(scale, dtype=np.float32)
            box = mesh_box(points)
            if box.width < self._config.min_width_px:
                continue
            detection = Detection(box=box, keypoints=frozen(mesh_keypoints(points)), score=1.0)
            landmarks = Landmarks(
                points=frozen(points),
                blendshapes=frozen(_scores(shapes)),
                measured_s=frame.captured_s,
            )
            found.append((detection, landmarks))
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Left to the interpreter's exit, its destructor would raise.
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None


def _scores(shapes: Any) -> NDArray[np.float32]:
    scores = np.zeros(BLENDSHAPES, dtype=np.float32)
    for shape in shapes:
        scores[shape.index] = shape.score
    return scores


def _load() -> tuple[Any, Any, Any]:
    """Import the library, its task options and its vision tasks."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import mediapipe as library
        from mediapipe.tasks import python as tasks
        from mediapipe.tasks.python import vision
    except ModuleNotFoundError as why:
        raise UnavailableError(
            f"MediaPipe is not installed ({why}): install the mediapipe extra, or set"
            ' faces.backend = "direct"'
        ) from why
    except (ImportError, OSError) as why:
        raise UnavailableError(_missing(why)) from why
    return library, tasks, vision


def _missing(why: Exception) -> str:
    """Name the Debian package of the system library that the loader missed."""
    for library, package in SYSTEM_LIBRARIES.items():
        if library in str(why):
            both = " ".join(SYSTEM_LIBRARIES.values())
            return (
                f"MediaPipe needs {library} (package {package}), which is not installed: run"
                f" sudo apt-get install {both}"
            )
    return f"MediaPipe cannot be loaded: {why}"

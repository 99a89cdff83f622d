"""Time and memory of finding faces, both back ends interleaved in one run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

import cv2

from benchmarks.classroom.finders import open_finder
from benchmarks.classroom.layouts import board, classroom
from edge.bundle.installed import configured_bundle
from edge.classifier.ensemble import Ensemble
from edge.config import Faces, Models
from edge.faces.select_backend import mediapipe_missing
from edge.features.extract import describe
from edge.values import Frame
from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.classroom.actors import ClassroomActor
    from benchmarks.classroom.scene import ClassroomScene
    from edge.faces.backend import FaceFinder
    from edge.values import Face

    Rest = Callable[[Frame, tuple[Face, ...]], object]

NEAR_PX = 190.0
NEAR_FACES = 4
BLOCK = 12
"""Frames in a block: one full turn of the detector's and the landmarks' rhythm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Milliseconds a frame: the median over blocks of the mean in a block.

    Attributes:
        faces: Faces in the crowded scene.
        reference_one_ms: MediaPipe, one near face.
        reference_each_ms: MediaPipe, each further near face.
        direct_one_ms: The direct back end, and the rest where given, one near face.
        direct_all_ms: Likewise, the crowded scene.
    """

    faces: int
    reference_one_ms: float
    reference_each_ms: float
    direct_one_ms: float
    direct_all_ms: float

    @property
    def reference_all_ms(self) -> float:
        """MediaPipe on the crowded scene, if it found everyone: one face and each further one."""
        return self.reference_one_ms + (self.faces - 1) * self.reference_each_ms

    @property
    def one_ratio(self) -> float:
        """One face, direct over MediaPipe."""
        return self.direct_one_ms / self.reference_one_ms

    @property
    def all_ratio(self) -> float:
        """The crowded scene, direct over MediaPipe."""
        return self.direct_all_ms / self.reference_all_ms

    @property
    def each_ratio(self) -> float:
        """Each further face, direct over MediaPipe."""
        each = (self.direct_all_ms - self.direct_one_ms) / max(self.faces - 1, 1)
        return each / self.reference_each_ms


def compare(
    actors: tuple[ClassroomActor, ...],
    *,
    faces: int = 30,
    blocks: int = 8,
    width_px: int = 1280,
    height_px: int = 720,
    threads: int = 1,
    rest: Callable[[], Rest] | None = None,
) -> Cost:
    """Time both back ends frame by frame in turn, so that both meet the same load.

    Args:
        actors: Who can appear.
        faces: Faces in the crowded scene.
        blocks: Blocks of `BLOCK` frames; one more is run before, to warm up.
        width_px: Width of the pictures.
        height_px: Height of the pictures.
        threads: Threads for models and OpenCV.
        rest: Opens what follows finding the faces, once for each scene; its time is counted too.

    Raises:
        UnavailableError: MediaPipe cannot run here.
    """
    if (obstacle := mediapipe_missing()) is not None:
        raise UnavailableError(f"no reference to compare with: {obstacle}")
    size = {"width_px": width_px, "height_px": height_px}
    one = board(actors, faces=1, face_px=NEAR_PX, **size)
    few = board(actors, faces=NEAR_FACES, face_px=NEAR_PX, **size)
    all_ = classroom(actors, faces=faces, **size)
    with ExitStack() as stack:

        def opened(backend: str) -> FaceFinder:
            config = Faces.model_validate({"backend": backend, "max_faces": max(faces, 1)})
            return stack.enter_context(open_finder(config, threads=threads))

        runs: dict[str, tuple[FaceFinder, ClassroomScene, Rest | None]] = {
            "reference_one": (opened("mediapipe"), one, None),
            "direct_one": (opened("direct"), one, rest() if rest else None),
            "reference_few": (opened("mediapipe"), few, None),
            "direct_all": (opened("direct"), all_, rest() if rest else None),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for seq in range((blocks + 1) * BLOCK):
            for name, (finder, scene, after) in runs.items():
                frame, _ = scene.render(actors, seq)
                began = time.perf_counter()
                found = finder.find(frame)
                if after is not None:
                    after(frame, found)
                times[name].append(time.perf_counter() - began)
    ms = {name: _blocks_ms(spent[BLOCK:]) for name, spent in times.items()}
    return Cost(
        faces=faces,
        reference_one_ms=ms["reference_one"],
        reference_each_ms=(ms["reference_few"] - ms["reference_one"]) / (NEAR_FACES - 1),
        direct_one_ms=ms["direct_one"],
        direct_all_ms=ms["direct_all"],
    )


def networks(*, threads: int = 1) -> Rest:
    """Open what follows finding the faces: features, and the default bundle's networks."""
    ensemble = Ensemble(configured_bundle(Models()), threads=threads, clock=time.perf_counter)
    return lambda frame, faces: ensemble.classify(describe(frame, faces))


def _blocks_ms(spent: list[float]) -> float:
    blocks = [spent[i : i + BLOCK] for i in range(0, len(spent), BLOCK)]
    return 1e3 * median(fmean(block) for block in blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCost:
    """Memory of a process that finds faces, MB (10^6 bytes)."""

    resident_mb: float
    proportional_mb: float


def measure_memory(
    actors: tuple[ClassroomActor, ...], *, backend: str, faces: int = 30, count: int = 40
) -> MemoryCost:
    """Run a back end on a crowded clip in a process of its own and read its memory."""
    scene = classroom(actors, faces=faces)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "class.mp4"
        write_clip(scene, actors, clip, count)
        command = (
            sys.executable,
            "-m",
            "benchmarks.classroom",
            "read-memory",
            "--backend",
            backend,
        )
        done = subprocess.run(
            [*command, str(clip)],
            check=True,
            capture_output=True,
            text=True,
        )
    return MemoryCost(**json.loads(done.stdout))


def find_and_read_memory(clip: Path, *, backend: str) -> MemoryCost:
    """Find faces in a clip in this process, and read its memory meanwhile."""
    capture = cv2.VideoCapture(str(clip))
    config = Faces.model_validate({"backend": backend})
    with open_finder(config) as finder:
        seq = 0
        while True:
            ok, image = capture.read()
            if not ok:
                break
            finder.find(Frame(image=image, seq=seq, captured_s=seq / 30))
            seq += 1
        sizes = dict(
            line.split(":", 1)
            for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
        )
    capture.release()
    return MemoryCost(
        resident_mb=int(sizes["Rss"].split()[0]) * 1024 / 1e6,
        proportional_mb=int(sizes["Pss"].split()[0]) * 1024 / 1e6,
    )


def write_clip(
    scene: ClassroomScene, actors: tuple[ClassroomActor, ...], path: Path, count: int
) -> None:
    """Render a scene into a file."""
    size = (scene.width_px, scene.height_px)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), scene.fps, size)
    for frame, _ in scene.frames(actors, count):
        writer.write(frame.image)
    writer.release()

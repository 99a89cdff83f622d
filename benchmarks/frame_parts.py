"""What each network and the Python around them take of every frame, at steady capture times.

Capture times are counted, not waited for, so that the schedule of landmarks and classification is
that of a camera with so many frames a second, however fast or busy this machine is. The detector
runs in line and is taken out of the frame: on a board it has a thread of its own.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from benchmarks.board_simulation import BoardPlanner, Work, simulate
from benchmarks.workload import Synthetic
from edge.litert import TFLiteModel
from edge.pipeline import open_pipeline
from edge.values import Frame, frozen
from emoshift.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.board_simulation import Simulated
    from benchmarks.workload import Request
    from edge.bundle.loader import Bundle
    from edge.config import Config
    from edge.pipeline import Pipeline, Step

PartKind = Literal["float32", "int8", "python"]

PYTHON: Final = "Python, NumPy and OpenCV"
_LANDMARKS: Final = "landmarks"
_MESH: Final = "mesh"
_FACE_NETWORKS: Final[dict[str, PartKind]] = {"small_face": "int8", _MESH: "float32"}
"""Networks that the face finder times one by one, as its report names them."""
_SETTLE_S: Final = 1.0
_SETTLE_BOARD_S: Final = 3.0
"""By the time of a board, until its planner has learned what the work costs there."""
_WARM_UP: Final = 300
"""Most frames until a face is found."""
_STAGES: Final = ("faces", "features", "models", "transitions")
_RANDOM_SEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What frames took, part by part.

    Attributes:
        kinds: What kind of network each part is.
        ms: Milliseconds of each part in each frame, 0 where it did not run: shape ``(frames,)``.
        rounds_ms: Milliseconds of every round of the detector, which is in no part.
        rounds_per_s: How often it ran, by capture times.
    """

    kinds: Mapping[str, PartKind]
    ms: Mapping[str, NDArray[np.float64]]
    rounds_ms: NDArray[np.float64]
    rounds_per_s: float


class SteadyFrames:
    """Takes the pipeline through synthetic pictures, and keeps what each part took."""

    def __init__(self, request: Request, pipeline: Pipeline, kinds: Mapping[str, PartKind]) -> None:
        self._pictures = Synthetic(request)
        self._pipeline = pipeline
        self._kinds = dict(kinds)
        self._clock_s = 0.0
        self._seq = 0
        self._step_done: Step
        self._kept: dict[str, list[dict[str, float]]] = {}
        self._intervals_s: dict[str, float] = {}

    def warm_up(self, interval_s: float) -> tuple[int, int]:
        """Run until a face is found; return the picture's width and height."""
        for _ in range(_WARM_UP):
            frame = self._step(interval_s)
            if self._pipeline.ensemble.timings and self._pipeline.finder.report.measured:
                return frame.width_px, frame.height_px
        raise InputError("no face was found in the synthetic pictures")

    def run(self, name: str, interval_s: float, frames: int) -> None:
        """Settle into a distance between frames, then keep so many under a name."""
        for _ in range(round(_SETTLE_S / interval_s)):
            self._step(interval_s)
        self._intervals_s[name] = interval_s
        kept = self._kept.setdefault(name, [])
        for _ in range(frames):
            self._step(interval_s)
            kept.append(self._newest())

    def parts(self, name: str) -> Parts:
        """Return what was kept under a name."""
        return split(self._kept[name], self._kinds, self._intervals_s[name])

    def simulate(
        self, factors: Mapping[str, float], *, budget_s: float, seconds: float
    ) -> Simulated:
        """Run the daemon's loop by the time of a board.

        Args:
            factors: How many times slower each part is there.
            budget_s: What the daemon plans a frame for.
            seconds: How long what counts goes on, by the board's time.
        """
        finder = self._pipeline.finder
        planner = BoardPlanner(budget_s, lambda: (finder.report.tried, finder.report.corrected))

        def step(captured_s: float, pictures: int) -> Work:
            self._pictures.skip(pictures - 1)
            self._take(captured_s)
            return cost_there(
                self._newest(),
                factors,
                members=self._kinds,
                faces=len(self._step_done.faces),
                measured=finder.report.tried,
                looks=finder.report.corrected,
                classified=len(self._step_done.predictions),
            )

        self._pipeline.shed(0)
        self._pipeline.plan_by(planner)
        try:
            return simulate(
                step, planner, seconds=seconds, settle_s=_SETTLE_BOARD_S, starts_s=self._clock_s
            )
        finally:
            self._pipeline.plan_by(None)

    def _step(self, interval_s: float) -> Frame:
        return self._take(self._clock_s + interval_s)

    def _take(self, captured_s: float) -> Frame:
        picture = self._pictures.read()
        assert picture is not None  # it never ends
        self._clock_s = captured_s
        frame = Frame(image=frozen(picture.image), seq=self._seq, captured_s=captured_s)
        self._seq += 1
        self._step_done = self._pipeline.step(frame)
        return frame

    def _newest(self) -> dict[str, float]:
        times, finder = self._pipeline.times, self._pipeline.finder
        found = {stage: times.newest(stage) * 1e3 for stage in _STAGES}
        for part, seconds in finder.report.stages_s.items():
            found[part.removeprefix("faces_")] = seconds * 1e3
        if not finder.report.tried:
            found.pop(_LANDMARKS, None)  # looking for a face that is due is Python
        for member in self._pipeline.ensemble.timings:
            found[member.name] = member.seconds * 1e3
        return found


def cost_there(
    frame: Mapping[str, float],
    factors: Mapping[str, float],
    *,
    members: Iterable[str],
    faces: int,
    measured: int,
    looks: int,
    classified: int,
) -> Work:
    """Multiply a frame's parts by what they are slower on a board.

    Args:
        frame: Milliseconds of the stages and of their parts here.
        factors: How many times slower each part is there.
        members: Names of the bundle's networks.
        faces: In view.
        measured: Whose landmarks were looked for in it.
        looks: Those of them at which MediaPipe's models looked too.
        classified: Classified in it.
    """
    slow, landmarks_ms = factors[PYTHON], frame.get(_LANDMARKS, 0.0)
    mesh_ms = frame.get(_MESH, 0.0) if _MESH in factors else 0.0

    def there(whole_ms: float, networks: Iterable[str]) -> float:
        own = {name: frame.get(name, 0.0) for name in networks}
        rest_ms = max(whole_ms - sum(own.values()), 0.0)
        return (sum(ms * factors[name] for name, ms in own.items()) + rest_ms * slow) / 1e3

    faces_ms = frame["faces"] - frame.get("detector_round", 0.0)
    finding = [n for n in (*_FACE_NETWORKS, _LANDMARKS) if n in factors and n != _MESH]
    return Work(
        faces=faces,
        measured=measured,
        looks=looks,
        classified=classified,
        landmarks_s=there(landmarks_ms - mesh_ms, finding),
        looks_s=there(mesh_ms, [_MESH] if mesh_ms else []),
        classification_s=there(frame["features"] + frame["models"], members),
        rest_s=there(faces_ms - landmarks_ms + frame["transitions"], ()),
    )


def split(
    frames: Sequence[Mapping[str, float]], kinds: Mapping[str, PartKind], interval_s: float
) -> Parts:
    """Divide frames into networks and the Python around them.

    Args:
        frames: Of each frame the milliseconds of the stages and of their parts.
        kinds: The bundle's networks.
        interval_s: From one frame to the next, by capture times.
    """
    timed = {
        name: kind for name, kind in _FACE_NETWORKS.items() if any(name in f for f in frames)
    } or {_LANDMARKS: "float32"}
    networks: dict[str, PartKind] = {**timed, **kinds}

    def column(name: str) -> NDArray[np.float64]:
        return np.array([frame.get(name, 0.0) for frame in frames])

    ms = {name: column(name) for name in networks}
    rounds = column("detector_round")
    whole = sum((column(stage) for stage in _STAGES), np.zeros(len(frames)))
    rest = whole - rounds - sum(ms.values(), np.zeros(len(frames)))
    return Parts(
        kinds=networks | {PYTHON: "python"},
        ms=ms | {PYTHON: np.maximum(rest, 0.0)},
        rounds_ms=rounds[rounds > 0],
        rounds_per_s=float(np.mean(rounds > 0)) / interval_s,
    )


@contextmanager
def steady_frames(
    request: Request, config: Config, bundle: Bundle
) -> Iterator[tuple[SteadyFrames, Pipeline]]:
    """Open the pipeline with one thread for each network and the detector in line.

    Raises:
        UsageError: The back end does not time its networks apart.
    """
    if config.faces.backend == "mediapipe":
        raise UsageError("--backend mediapipe: its networks are not timed one by one")
    kinds: dict[str, PartKind] = {
        member.name: "int8" if _is_int8(bundle.contents[member.name]) else "float32"
        for member in bundle.manifest.members
        if member.weight > 0
    }
    with open_pipeline(config, bundle, random_seed=_RANDOM_SEED) as pipeline:
        yield SteadyFrames(request, pipeline, kinds), pipeline


def _is_int8(content: bytes) -> bool:
    return all(info.dtype == "int8" for info in TFLiteModel(content).inputs)

"""What becomes of faces that one network sees and the other does not; the networks are scripted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.config import Faces
from edge.faces.backend import ComputeBudget
from edge.faces.detector_runner import SyncRunner
from edge.faces.direct import DirectFaces
from edge.faces.landmarker import Mesh
from edge.faces.mesh import BLENDSHAPES, POINTS
from edge.values import Box, Face, Frame
from tests.support.detectors import GivenBoxes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.faces.roi import Roi

    Sees = Callable[[Roi], bool]

PICTURE = np.full((480, 640, 3), 128, np.uint8)
LEFT = Box(x=100, y=100, width=80, height=96)
RIGHT = Box(x=400, y=100, width=80, height=96)


def mesh_of(roi: Roi, *, seen: bool) -> Mesh:
    """Landmarks in the middle of a region, with upright eyes, and whether they are a face's."""
    places = np.random.default_rng(0).uniform(-1 / 3, 1 / 3, (POINTS, 2)) * roi.width
    places[[33, 133]], places[[263, 362]] = (-0.15 * roi.width, 0.0), (0.15 * roi.width, 0.0)
    points = np.zeros((POINTS, 3), np.float32)
    points[:, :2] = places + np.array((roi.x, roi.y))
    return Mesh(points, 0.99 if seen else 0.01)


class Small:
    """Stands for the small network: sees the faces that it is told to see."""

    def __init__(self, sees: Sees) -> None:
        self.sees = sees

    def measure(
        self, _image: NDArray[np.uint8], rois: list[Roi]
    ) -> tuple[list[Mesh], NDArray[np.float32]]:
        shapes = np.full((len(rois), BLENDSHAPES), 0.1, np.float32)
        return [mesh_of(roi, seen=self.sees(roi)) for roi in rois], shapes


class Reference:
    """Stands for MediaPipe's models, and counts their looks.

    ``points`` and ``shapes`` are what they say instead, at the looks with these numbers.
    """

    def __init__(self, sees: Sees) -> None:
        self.sees = sees
        self.looked: list[Roi] = []
        self.points: dict[int, float] = {}
        self.shapes: dict[int, float] = {}

    def measure(self, _image: NDArray[np.uint8], roi: Roi) -> Mesh:
        self.looked.append(roi)
        if (value := self.points.get(len(self.looked))) is not None:
            return Mesh(np.full((POINTS, 3), value, np.float32), 0.99)
        return mesh_of(roi, seen=self.sees(roi))

    def blendshapes(self, _points: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full(BLENDSHAPES, self.shapes.get(len(self.looked), 0.2), np.float32)


class Watch:
    """A finder with such networks, and the next frames for it, 30 a second."""

    def __init__(
        self, detector: GivenBoxes, small: Small, reference: Reference, **faces: Any
    ) -> None:
        self.finder = DirectFaces(
            Faces.model_validate(faces),
            detector=detector,
            runner=SyncRunner(detector),
            small_face=small,
            landmarker=reference,
            random_seed=1,
        )
        self.forgotten: list[int] = []
        self._seq = 0

    def frames(self, count: int) -> list[tuple[Face, ...]]:
        """Show it so many frames; return the faces of each."""
        seen = []
        for _ in range(count):
            frame = Frame(image=PICTURE, seq=self._seq, captured_s=self._seq / 30)
            self._seq += 1
            seen.append(self.finder.find(frame))
            self.forgotten += self.finder.forgotten
        return seen


def anywhere(_roi: Roi) -> bool:
    return True


def nowhere(_roi: Roi) -> bool:
    return False


def on_the_right(roi: Roi) -> bool:
    return roi.x > 300


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["points", "shapes"])
def test_a_number_that_is_none_is_no_look(what: str, value: float) -> None:
    """NaN in a network's output costs that one look, and neither the face nor what it learns."""
    reference = Reference(anywhere)
    for look in (1, 3, 5):
        getattr(reference, what)[look] = value
    watch = Watch(GivenBoxes([LEFT]), Small(anywhere), reference)
    seen = watch.frames(60)
    assert {face.track for faces in seen for face in faces} == {1}
    assert watch.forgotten == []
    measured = [face.landmarks for faces in seen for face in faces if face.landmarks is not None]
    assert len(measured) > 50
    assert all(np.isfinite(m.points).all() and np.isfinite(m.blendshapes).all() for m in measured)
    assert len(reference.looked) > 5


def test_looks_go_round_where_one_face_is_never_corrected() -> None:
    """A face that the small network does not see takes no more looks than its share."""
    reference = Reference(anywhere)
    third = Box(x=400, y=300, width=80, height=96)
    watch = Watch(GivenBoxes([LEFT, RIGHT, third]), Small(on_the_right), reference)
    for number in range(90):
        watch.finder.set_budget(ComputeBudget(mesh_budget=1 if number % 3 == 0 else 0))
        watch.frames(1)
    on_left = sum(not on_the_right(roi) for roi in reference.looked)
    assert on_left <= len(reference.looked) / 3 + 1


def test_what_is_no_face_is_looked_at_once_a_frame() -> None:
    """The same region of the same picture is not shown to MediaPipe's models twice."""
    reference = Reference(nowhere)
    watch = Watch(GivenBoxes([LEFT]), Small(anywhere), reference)
    for _ in range(3):
        before = len(reference.looked)
        watch.frames(1)
        assert len(reference.looked) - before <= 1


def test_faces_looked_for_in_vain_are_counted() -> None:
    """They cost what the others cost, which a plan for the next frame must know."""
    watch = Watch(GivenBoxes([LEFT, RIGHT]), Small(on_the_right), Reference(anywhere))
    watch.frames(1)
    assert (watch.finder.report.tried, watch.finder.report.measured) == (2, 1)


def test_what_is_no_face_is_forgotten() -> None:
    """A mistake of the detector is not counted as a pupil for as long as it repeats itself."""
    watch = Watch(GivenBoxes([LEFT]), Small(nowhere), Reference(nowhere))
    seen = watch.frames(60)
    assert [face.track for face in seen[0]] == [1]
    assert seen[-1] == ()
    assert watch.forgotten == [1]


def test_what_proves_to_be_a_face_begins_anew() -> None:
    """A track that was taken for no face and turns out to be one comes back as somebody new."""
    small, reference = Small(nowhere), Reference(nowhere)
    watch = Watch(GivenBoxes([LEFT]), small, reference)
    (first,) = watch.frames(1)[0]
    assert watch.frames(30)[-1] == ()
    small.sees = reference.sees = anywhere
    (face,) = watch.frames(30)[-1]
    assert (face.track, watch.forgotten) == (2, [1])
    assert face.label != first.label
    assert face.landmarks is not None


def test_only_looks_in_a_row_count() -> None:
    """MediaPipe's models see the face now and then, and so it is one."""
    reference = Reference(lambda _: len(reference.looked) % 2 == 0)
    watch = Watch(GivenBoxes([LEFT]), Small(nowhere), reference)
    assert all(len(faces) == 1 for faces in watch.frames(60))
    assert len(reference.looked) > 5


def test_nothing_is_kept_of_what_was_never_shown_again() -> None:
    """Mistakes of the detector come and go for hours; the memory for them does not grow."""
    detector = GivenBoxes()
    watch = Watch(detector, Small(nowhere), Reference(nowhere), ignore_still_after_s=0.5)
    for number in range(20):
        detector.boxes = (Box(x=20 + 25 * number, y=100, width=80, height=96),)
        watch.frames(45)
        detector.boxes = ()
        watch.frames(60)
    assert watch.forgotten == list(range(1, 21))
    kept = (watch.finder._cadence._due_s, watch.finder._landmark_states)  # noqa: SLF001 - the law
    assert [len(one) for one in kept] == [0, 0]

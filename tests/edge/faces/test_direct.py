"""The direct back end with its real models and clip, and with a scripted detector."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import Faces
from edge.faces.backend import ComputeBudget
from edge.faces.detector import Region
from edge.faces.detector_runner import AsyncRunner, SyncRunner
from edge.faces.direct import DirectFaces
from edge.faces.landmarker import Landmarker
from edge.faces.select_backend import open_faces
from edge.faces.small_face import SmallFaceNetwork
from edge.faces.yunet import YuNet
from edge.values import Box, Face, Frame
from emoshift.errors import InputError, UnavailableError
from tests.support.detectors import GivenBoxes
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from edge.faces.backend import FaceFinder
    from edge.faces.tracker import Detection

Models = dict[str, Path]
Blank = Callable[[int, int], NDArray[np.uint8]]


@pytest.fixture
def models(landmarker: Path, yunet: Path) -> Models:
    """The two model files as the back end wants them."""
    return {"landmarker": landmarker, "detector": yunet}


def watch(finder: FaceFinder, frames: Sequence[Frame]) -> list[tuple[Face, ...]]:
    return [finder.find(frame) for frame in frames]


def digest(seen: list[tuple[Face, ...]]) -> str:
    """One number for everything a run has said."""
    summary = hashlib.sha256()
    for faces in seen:
        for face in faces:
            summary.update(f"{face.track} {face.label} {face.box} {face.score}".encode())
            summary.update(face.keypoints.tobytes())
            if face.landmarks is not None:
                summary.update(face.landmarks.blendshapes.tobytes())
    return summary.hexdigest()


@pytest.mark.clip
def test_a_size_looked_at_before_changes_nothing(yunet: Path, sample_frames: list[Frame]) -> None:
    """One network serves every size of picture, and finds what a fresh one of that size finds."""
    detector = YuNet(yunet)
    image = np.tile(sample_frames[0].image, (2, 2, 1))
    height, width = image.shape[:2]
    for scale in (1.0, 0.5, 0.8, 0.5, 1.0):
        region = Region(x=0, y=0, width=width, height=height, scale=scale)
        found, alone = detector.search(image, region), YuNet(yunet).search(image, region)
        assert len(found) == 4
        for one, other in zip(found, alone, strict=True):
            assert (one.box, one.score) == (other.box, other.score)
            np.testing.assert_array_equal(one.keypoints, other.keypoints)


@pytest.mark.clip
def test_one_man_has_one_track(models: Models, sample_frames: list[Frame]) -> None:
    """The face is found in every frame of the sample clip, with landmarks, under one name."""
    with open_faces(Faces(), **models, random_seed=1) as finder:
        assert finder.name == "direct (yunet)"
        assert finder.reason == "runs on every board"
        seen = watch(finder, sample_frames)
        report = finder.report
    assert [len(faces) for faces in seen] == [1] * len(sample_frames)
    assert {face.track for faces in seen for face in faces} == {1}
    assert all(face.landmarks is not None for faces in seen for face in faces)
    assert {"detect", "track", "landmarks"} <= set(report.stages_s)
    assert report.landmarks_age_s[1] <= 0.1
    for (face,) in seen:
        assert not face.keypoints.flags.writeable
        right, left, nose, *_ = face.keypoints
        assert right[0] < nose[0] < left[0]


@pytest.mark.clip
def test_a_replay_repeats_itself(models: Models, sample_frames: list[Frame]) -> None:
    """With a seed, the same clip gives the same faces twice, to the last bit."""
    runs = []
    for _ in range(2):
        with open_faces(Faces(), **models, random_seed=3) as finder:
            runs.append(digest(watch(finder, sample_frames[:30])))
    assert runs[0] == runs[1]


@pytest.mark.clip
def test_a_thread_of_its_own(models: Models, sample_frames: list[Frame]) -> None:
    """Live, the detector works beside the caller, and the face is found all the same."""
    times = itertools.count()

    def find_again() -> bool:
        seq = next(times)
        frame = replace(sample_frames[0], seq=seq, captured_s=seq / 30)
        return bool(finder.find(frame))

    with open_faces(Faces(), **models) as finder:
        wait_until(find_again)


@pytest.mark.clip
def test_without_the_classroom_detector(landmarker: Path) -> None:
    """Without any, the near-range detector takes over and the reason says so."""
    config = Faces(backend="direct")
    with open_faces(config, landmarker=landmarker, detector=None, random_seed=1) as finder:
        assert finder.name == "direct (blazeface short range)"
        assert "near range only" in finder.reason
        assert "edge assets fetch" in finder.reason


@pytest.mark.clip
def test_blazeface_takes_yunets_place(
    landmarker: Path, blazeface: Path, sample_frames: list[Frame]
) -> None:
    """Full-range BlazeFace follows a face too; its name and what it lacks are given."""
    with open_faces(Faces(), landmarker=landmarker, detector=blazeface, random_seed=1) as finder:
        assert finder.name == "direct (blazeface full range)"
        assert "YuNet" in finder.reason
        seen = watch(finder, sample_frames[:30])
    assert all(len(faces) == 1 for faces in seen[3:])


@pytest.mark.clip
def test_the_near_detector_finds_the_man(landmarker: Path, sample_frames: list[Frame]) -> None:
    """The fallback follows one near face just as well."""
    with open_faces(Faces(), landmarker=landmarker, detector=None, random_seed=1) as finder:
        seen = watch(finder, sample_frames[:30])
    assert all(len(faces) == 1 for faces in seen)


def test_no_models_at_all(tmp_path: Path) -> None:
    """The message names the file and the command."""
    with pytest.raises(InputError, match=r"face_landmarker\.task: no such file.*assets fetch"):
        open_faces(Faces(), landmarker=tmp_path / "face_landmarker.task", detector=None)


def test_no_thread_is_left_of_what_does_not_open(blazeface: Path, tmp_path: Path) -> None:
    """Where a network is missing the detector's thread is not left behind."""
    with pytest.raises(InputError, match="no such file"):
        open_faces(Faces(), landmarker=tmp_path / "face_landmarker.task", detector=blazeface)
    assert "face-search" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("which", ["landmarker", "detector"])
def test_damaged_models(models: Models, tmp_path: Path, which: str) -> None:
    """A damaged file is named in one line."""
    damaged = tmp_path / "damaged.model"
    damaged.write_bytes(b"no model")
    with pytest.raises(InputError, match=r"damaged\.model"):
        open_faces(Faces(), **(models | {which: damaged}))


def test_mediapipe_where_it_cannot_run() -> None:
    """Asked for where it is absent, MediaPipe is refused with what to do."""
    code = (
        "import sys; sys.modules['mediapipe'] = None\n"
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from pathlib import Path\n"
        "from edge.config import Faces\n"
        "from emoshift.errors import UnavailableError\n"
        "from edge.faces.select_backend import open_faces\n"
        "try: open_faces(Faces(backend='mediapipe'), landmarker=Path('.'), detector=None)\n"
        "except UnavailableError as why: print(why)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert said.strip() == 'MediaPipe is not installed; set faces.backend = "direct"'
    assert UnavailableError.exit_code == 69


def turned(frames: list[Frame], turns: int) -> list[Frame]:
    """Turn pictures clockwise by quarter turns."""
    return [
        Frame(image=np.rot90(f.image, -turns).copy(), seq=f.seq, captured_s=f.captured_s)
        for f in frames
    ]


@pytest.mark.clip
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_picture(models: Models, sample_frames: list[Frame], turns: int) -> None:
    """A camera hung sideways finds the face or not, but never fails and never finds two."""
    with open_faces(Faces(), **models, random_seed=1) as finder:
        seen = watch(finder, turned(sample_frames[:20], turns))
    assert max(len(faces) for faces in seen) <= 1


@pytest.mark.clip
def test_a_face_at_the_border(models: Models, sample_frames: list[Frame]) -> None:
    """A face half out of the picture gives boxes and landmarks that may reach beyond it."""
    cut = [
        Frame(image=f.image[:, 62:].copy(), seq=f.seq, captured_s=f.captured_s)
        for f in sample_frames[:30]
    ]
    with open_faces(Faces(), **models, random_seed=1) as finder:
        seen = watch(finder, cut)
    for faces in seen:
        for face in faces:
            assert np.isfinite(face.keypoints).all()
            assert face.box.width > 0


@pytest.mark.clip
def test_an_empty_picture(models: Models, blank: Blank) -> None:
    """No face is an empty tuple, at any size, tiny ones included."""
    with open_faces(Faces(), **models, random_seed=1) as finder:
        for seq, (width, height) in enumerate([(64, 64), (1280, 720), (64, 4000), (33, 65)]):
            frame = Frame(image=blank(width, height), seq=seq, captured_s=seq * 1.0)
            assert finder.find(frame) == ()
        assert finder.report.faces == 0


@pytest.mark.clip
def test_a_poster_is_ignored(models: Models, sample_frames: list[Frame]) -> None:
    """The same picture for longer than the limit is a poster; the man who moves is none."""
    config = Faces(ignore_still_after_s=1.0)
    poster = [Frame(image=sample_frames[0].image, seq=n, captured_s=n / 10) for n in range(30)]
    with open_faces(config, **models, random_seed=1) as finder:
        seen = watch(finder, poster)
        assert len(seen[5]) == 1
        assert seen[-1] == ()
        moving = [
            Frame(image=f.image, seq=f.seq, captured_s=3 + n / 10)
            for n, f in enumerate(sample_frames[::4])
        ]
        assert len(watch(finder, moving)[-1]) == 1


def scripted(landmarker: Path, detector: GivenBoxes, **settings: float) -> DirectFaces:
    return DirectFaces(
        Faces.model_validate(settings),
        detector=detector,
        runner=SyncRunner(detector),
        small_face=SmallFaceNetwork(),
        landmarker=Landmarker(landmarker),
        random_seed=1,
    )


def crowd(count: int, size: float) -> list[Box]:
    return [
        Box(x=20 + 60 * (i % 10), y=20 + 60 * (i // 10), width=size, height=size * 1.2)
        for i in range(count)
    ]


def test_small_faces_have_no_landmarks(landmarker: Path, blank: Blank) -> None:
    """Faces too small for landmarks are given without, counted, and cost no measurement."""
    with scripted(landmarker, GivenBoxes(crowd(12, 18.0))) as finder:
        for seq in range(4):
            faces = finder.find(Frame(image=blank(640, 480), seq=seq, captured_s=seq / 30))
    assert len(faces) == 12
    assert all(face.landmarks is None for face in faces)
    assert finder.report.too_small == 12
    assert finder.report.measured == 0


def test_more_than_thirty_faces(landmarker: Path, blank: Blank) -> None:
    """The largest thirty are followed."""
    boxes = crowd(40, 18.0)
    large = [Box(x=b.x, y=b.y, width=30, height=36) for b in boxes[:30]]
    with scripted(landmarker, GivenBoxes(large + boxes[30:])) as finder:
        for seq in range(4):
            faces = finder.find(Frame(image=blank(640, 480), seq=seq, captured_s=seq / 30))
    assert len(faces) == 30
    assert min(face.box.width for face in faces) > 25


def test_what_is_no_face_to_the_landmark_model_is_none(landmarker: Path, blank: Blank) -> None:
    """A detector's mistake that is large enough to be looked at closely is dropped."""
    with scripted(landmarker, GivenBoxes(crowd(1, 80.0))) as finder:
        counts = [
            len(finder.find(Frame(image=blank(640, 480), seq=n, captured_s=n / 30)))
            for n in range(10)
        ]
    assert counts[-1] == 0


def test_effort_sets_the_pace(landmarker: Path, blank: Blank) -> None:
    """Detection runs every few frames, as often as the effort says."""
    for every, rounds in ((1, 12), (3, 4), (6, 2)):
        detector = GivenBoxes(crowd(1, 18.0))
        with scripted(landmarker, detector) as finder:
            finder.set_budget(ComputeBudget(detect_every=every))
            for seq in range(12):
                finder.find(Frame(image=blank(320, 240), seq=seq, captured_s=seq / 30))
        assert detector.rounds == rounds


def four_times(frames: list[Frame]) -> list[Frame]:
    """The same man four times in each picture."""
    tiled = []
    for frame in frames:
        big = cv2.resize(frame.image, (352, 288))
        image = np.vstack([np.hstack([big, big]), np.hstack([big, big])])
        tiled.append(Frame(image=image, seq=frame.seq, captured_s=frame.captured_s))
    return tiled


@pytest.mark.clip
def test_the_landmark_budget_goes_round(models: Models, sample_frames: list[Frame]) -> None:
    """With a budget of one, four faces take turns and each keeps its last landmarks."""
    with open_faces(Faces(), **models, random_seed=1) as finder:
        finder.set_budget(ComputeBudget(landmark_budget=1))
        measured = []
        for frame in four_times(sample_frames[:24]):
            faces = finder.find(frame)
            assert finder.report.measured <= 1
            measured += [
                f.track
                for f in faces
                if f.landmarks is not None and f.landmarks.measured_s == frame.captured_s
            ]
        assert len(faces) == 4
        assert max(finder.report.landmarks_age_s.values()) < 0.25
    assert {measured.count(track) for track in measured[-8:]} <= {4, 5, 6, 7}


@pytest.mark.clip
def test_corrections_go_round(models: Models, sample_frames: list[Frame]) -> None:
    """Every face is measured when it is due, and MediaPipe looks at one of them a frame at most."""
    with open_faces(Faces(), **models, random_seed=1) as finder:
        corrected = []
        for frame in four_times(sample_frames[:24]):
            faces = finder.find(frame)
            corrected.append(finder.report.corrected)
        assert max(finder.report.landmarks_age_s.values()) < 0.11
    assert len(faces) == 4
    assert max(corrected) == 1
    assert sum(corrected) >= 4


def test_what_fails_on_the_thread_is_reported(blank: Blank) -> None:
    """An error of the detector reaches the caller."""

    class Broken(GivenBoxes):
        def search(self, image: NDArray[np.uint8], region: Region) -> list[Detection]:
            raise RuntimeError(f"detector broke on {image.shape} at {region.scale}")

    runner = AsyncRunner(Broken([]))
    frame = Frame(image=blank(64, 64), seq=0, captured_s=0.0)
    runner.submit(frame, Region(x=0, y=0, width=64, height=64, scale=1.0))
    with pytest.raises(RuntimeError, match="detector broke"):
        wait_until(runner.poll)
    runner.close()

"""The MediaPipe back end, with the real library and clip."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.config import Faces
from edge.faces.mediapipe import MediaPipeFaces, _missing
from edge.values import Frame
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def test_importing_the_back_end_loads_no_mediapipe() -> None:
    """The library is loaded when a finder is opened, not before."""
    code = "import sys, edge.faces.select_backend; sys.exit('mediapipe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
    """The message names the file and the command."""
    with pytest.raises(InputError, match=r"face_landmarker\.task: no such file.*assets fetch"):
        MediaPipeFaces(Faces(), model=tmp_path / "face_landmarker.task")


def test_a_missing_system_library_says_what_to_install() -> None:
    """The loader's complaint becomes the command that mends it."""
    why = OSError("libGLESv2.so.2: cannot open shared object file: No such file or directory")
    assert "sudo apt-get install libegl1 libgles2" in _missing(why)
    assert "libGLESv2.so.2 (package libgles2)" in _missing(why)


@pytest.mark.clip
def test_one_man_has_one_track(
    landmarker: Path,
    sample_frames: list[Frame],
    capfd: pytest.CaptureFixture[str],
    blank: Callable[[int, int], NDArray[np.uint8]],
) -> None:
    """The face is found in every frame, whole and with one name; nothing is printed."""
    pytest.importorskip("mediapipe", reason="needs MediaPipe: requirements/mediapipe.txt")
    with MediaPipeFaces(Faces(), model=landmarker, random_seed=1) as finder:
        assert finder.name.startswith("mediapipe ")
        for frame in sample_frames[:40]:
            (face,) = finder.find(frame)
            assert (face.track, face.label) == (1, face.label)
            assert face.landmarks is not None
            assert face.landmarks.points.shape == (478, 3)
            assert face.landmarks.blendshapes.shape == (52,)
            assert face.landmarks.measured_s == frame.captured_s
            assert not face.landmarks.points.flags.writeable
            assert face.keypoints.shape == (5, 2)
            right, left, nose, mouth_right, mouth_left = face.keypoints
            assert right[0] < nose[0] < left[0]
            assert mouth_right[0] < mouth_left[0]
            assert nose[1] < mouth_left[1]
            assert face.box.x < nose[0] < face.box.x + face.box.width
        empty = blank(176, 144)
        late = Frame(image=empty, seq=99, captured_s=50.0)
        assert finder.find(late) == ()
        assert finder.forgotten == (1,)
    assert capfd.readouterr().err == ""


@pytest.mark.clip
def test_small_faces_are_left_out(landmarker: Path, sample_frames: list[Frame]) -> None:
    """A face narrower than ``min_width_px`` is none."""
    pytest.importorskip("mediapipe", reason="needs MediaPipe: requirements/mediapipe.txt")
    config = Faces(min_width_px=120)
    with MediaPipeFaces(config, model=landmarker) as finder:
        assert [finder.find(frame) for frame in sample_frames[:3]] == [(), (), ()]
